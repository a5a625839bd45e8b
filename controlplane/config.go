package controlplane

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"switchboard/controlplane/internal/httpapi"
	"switchboard/controlplane/internal/placement"
	"switchboard/shared/ids"
	"switchboard/shared/natsconn"
)

// Config is what an operator may set of a control plane. Default has every key
// filled in that has a default.
type Config struct {
	// Listen is the HTTP address, "host:port"; an empty host is every interface
	// and port 0 any free one.
	Listen string `yaml:"listen" help:"HTTP address, host:port; port 0 is any free one."`
	// Apps are the tenants.
	Apps []AppConfig `yaml:"apps" help:"Apps and their secrets: [{id, name, secrets: [...]}]."`
	// Region is where this control plane stands; sessions are placed on workers
	// of the same region first. Empty: regions don't matter.
	Region string `yaml:"region" help:"Region whose workers are preferred."`
	// Placement is "local" or "spread" (package placement).
	Placement string `yaml:"placement" help:"local keeps an App's sessions together; spread separates them, for tests."`
	// CORSOrigins lists the origins that browsers may call from; empty or "*":
	// every origin.
	CORSOrigins []string `yaml:"corsOrigins" help:"Origins that browsers may call from; empty is every origin."`
	// ShutdownTimeout is how long calls in flight may take when it stops.
	ShutdownTimeout time.Duration   `yaml:"shutdownTimeout" help:"Longest wait for calls in flight at the end."`
	NATS            natsconn.Config `yaml:"nats"`
	Redis           RedisConfig     `yaml:"redis"`
}

// AppConfig is one tenant.
type AppConfig struct {
	// ID stands in the API's paths: 1 to 64 of [A-Za-z0-9_-].
	ID string `yaml:"id" json:"id"`
	// Name is for people.
	Name string `yaml:"name" json:"name"`
	// Secrets holds one or two bearer secrets, each in plain or as "sha256:" and
	// its hash in hexadecimal.
	Secrets []string `yaml:"secrets" json:"secrets" secret:"true"`
}

// RedisConfig is how a control plane reaches Redis.
type RedisConfig struct {
	// Addresses are "host:port": one server, or several nodes of one cluster.
	Addresses []string `yaml:"addresses" help:"Redis servers, host:port; several are nodes of one cluster."`
	// Cluster is for a cluster that is reached by one address.
	Cluster  bool   `yaml:"cluster" help:"The one address is a Redis Cluster."`
	Username string `yaml:"username" help:"Redis user; empty is the default user."`
	Password string `yaml:"password" secret:"true" help:"Redis password."`
	// TLS encrypts the connection; CA, Cert and Key are as for NATS.
	TLS  bool   `yaml:"tls" help:"Use TLS."`
	CA   string `yaml:"ca" help:"PEM file that the servers' certificates are checked against."`
	Cert string `yaml:"cert" help:"PEM file of this client's certificate, for mutual TLS."`
	Key  string `yaml:"key" help:"PEM file of this client's key."`
}

// Default returns the configuration of a control plane that nothing was set
// for. It has no Apps, so that it does not validate.
func Default() Config {
	return Config{
		Listen:          "127.0.0.1:8080",
		Placement:       string(placement.Local),
		ShutdownTimeout: 10 * time.Second,
		NATS:            natsconn.Default(),
		Redis:           RedisConfig{Addresses: []string{"127.0.0.1:6379"}},
	}
}

// Validate checks every key by itself and names the wrong one, what is wrong
// and what it may be. It touches neither network nor files.
func (c Config) Validate() error {
	var errs []error
	if err := checkAddress(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen %q: %w", c.Listen, err))
	}
	if len(c.Apps) == 0 {
		errs = append(errs, errors.New("apps: want at least one, such as [{id: demo, secrets: [a long random text]}]"))
	}
	if _, err := httpapi.NewAuthenticator(c.authenticated()); err != nil {
		errs = append(errs, fmt.Errorf("apps: %w", err))
	}
	policies := []string{string(placement.Local), string(placement.Spread)}
	if !slices.Contains(policies, c.Placement) {
		errs = append(errs, fmt.Errorf("placement %q: want one of %q", c.Placement, policies))
	}
	for _, origin := range c.CORSOrigins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			errs = append(errs, fmt.Errorf(`corsOrigins %q: want "*" or an origin such as "https://app.example"`, origin))
		}
	}
	if c.ShutdownTimeout < 0 {
		errs = append(errs, errors.New("shutdownTimeout: want 0 or more"))
	}
	return errors.Join(append(errs, c.NATS.Validate(), c.Redis.validate())...)
}

func (c RedisConfig) validate() error {
	var errs []error
	if len(c.Addresses) == 0 {
		errs = append(errs, errors.New(`redis.addresses: want at least one "host:port"`))
	}
	for _, address := range c.Addresses {
		if err := checkAddress(address); err != nil {
			errs = append(errs, fmt.Errorf("redis.addresses %q: %w", address, err))
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		errs = append(errs, errors.New("redis.cert and redis.key: want both or neither"))
	}
	if !c.TLS && (c.CA != "" || c.Cert != "") {
		errs = append(errs, errors.New("redis.ca and redis.cert: want redis.tls with them"))
	}
	return errors.Join(errs...)
}

// authenticated returns the Apps as the HTTP edge wants them.
func (c Config) authenticated() []httpapi.App {
	apps := make([]httpapi.App, len(c.Apps))
	for i, app := range c.Apps {
		apps[i] = httpapi.App{ID: ids.AppID(app.ID), Secrets: app.Secrets}
	}
	return apps
}

func checkAddress(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New(`want "host:port", IPv6 as "[addr]:port"`)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q: want 0 to 65535", port)
	}
	return nil
}
