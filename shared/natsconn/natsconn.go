// Package natsconn connects both tiers to NATS: the same settings, and a
// connection that is never given up, because a process outlives NATS.
package natsconn

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/wire"
)

// Config is how a process reaches NATS.
type Config struct {
	// URL is one server or several, separated by commas; it may hold a user and
	// a password, or a token.
	URL string `yaml:"url" help:"NATS servers, separated by commas."`
	// Credentials is the path of a NATS .creds file; may be empty.
	Credentials string `yaml:"credentials" help:"Path of a NATS .creds file."`
	// CA is the path of PEM certificates that the servers' TLS is checked
	// against; empty takes the system's.
	CA string `yaml:"ca" help:"PEM file that the servers' certificates are checked against."`
	// Cert and Key are the paths of this client's certificate and key, PEM, for
	// mutual TLS; both or neither.
	Cert string `yaml:"cert" help:"PEM file of this client's certificate, for mutual TLS."`
	Key  string `yaml:"key" help:"PEM file of this client's key."`
}

// Default returns the settings of a server on this machine.
func Default() Config { return Config{URL: nats.DefaultURL} }

// Validate names the wrong key and what it may be.
func (c Config) Validate() error {
	switch {
	case c.URL == "":
		return errors.New(`nats.url: want a server such as "nats://127.0.0.1:4222"`)
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("nats.cert and nats.key: want both or neither")
	}
	return nil
}

// Connect returns a connection, which the caller closes. It does not wait for a
// server: an error is one of the configuration.
func Connect(c Config, name string, log *zap.Logger) (*nats.Conn, error) {
	var reported atomic.Bool // the present outage was logged
	lost := func(nc *nats.Conn, err error) {
		if !nc.IsClosed() && !reported.Swap(true) {
			log.Warn("NATS is not reachable; media flows on and the connection is retried",
				zap.Strings("servers", nc.Servers()), zap.Error(err))
		}
	}
	options := []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(10 * time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectErrHandler(lost),
		nats.DisconnectErrHandler(lost),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			reported.Store(false)
			log.Info("NATS is reachable again", zap.String("server", Server(nc)))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS reports an error", zap.Error(err))
		}),
	}
	if c.Credentials != "" {
		options = append(options, nats.UserCredentials(c.Credentials))
	}
	if c.CA != "" {
		options = append(options, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		options = append(options, nats.ClientCert(c.Cert, c.Key))
	}
	nc, err := nats.Connect(c.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return nc, nil
}

// Server says for logs where nc is connected to, without secrets; "" when it
// is not connected.
func Server(nc *nats.Conn) string {
	if nc.Opts.InProcessServer != nil {
		return "in this process"
	}
	return nc.ConnectedUrlRedacted()
}

// CheckMaxPayload refuses a server that would cut messages.
func CheckMaxPayload(nc *nats.Conn) error {
	if have := nc.MaxPayload(); have < wire.MinMaxPayload {
		return fmt.Errorf("nats: the server's max_payload is %d bytes, session descriptions need %d: set max_payload: 1MB or more in its configuration",
			have, wire.MinMaxPayload)
	}
	return nil
}
