package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
)

// Connect returns the connections that a control plane needs, and what closes
// them. It waits for neither NATS nor Redis, whose outages a control plane
// outlives: an error is one of the configuration.
func Connect(c Config, log *zap.Logger) (Deps, func(), error) {
	nc, err := connectNATS(c.NATS, log)
	if err != nil {
		return Deps{}, nil, err
	}
	encryption, err := c.Redis.encryption()
	if err != nil {
		nc.Close()
		return Deps{}, nil, fmt.Errorf("redis: %w", err)
	}
	client := directory.NewClient(directory.ClientConfig{
		Addresses: c.Redis.Addresses, Cluster: c.Redis.Cluster,
		Username: c.Redis.Username, Password: c.Redis.Password, TLS: encryption,
	})
	disconnect := func() {
		nc.Close()
		if err := client.Close(); err != nil {
			log.Warn("close the Redis client", zap.Error(err))
		}
	}
	return Deps{NATS: nc, Redis: client, Log: log}, disconnect, nil
}

func connectNATS(c NATSConfig, log *zap.Logger) (*nats.Conn, error) {
	var reported atomic.Bool // the present outage was logged
	lost := func(err error) {
		if !reported.Swap(true) {
			log.Warn("NATS is not reachable; media flows on and the connection is retried", zap.Error(err))
		}
	}
	options := []nats.Option{
		nats.Name("controlplane"),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(10 * time.Second),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { lost(err) }),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if !nc.IsClosed() {
				lost(err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			reported.Store(false)
			log.Info("NATS is reachable again", zap.String("server", nc.ConnectedUrlRedacted()))
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

// awaitNATS waits for the first connection, without which no call can be
// served, or for the end of ctx.
func awaitNATS(ctx context.Context, nc *nats.Conn, log *zap.Logger) error {
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	if !nc.IsConnected() && !nc.IsClosed() {
		log.Info("waiting for NATS")
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if nc.IsClosed() {
		return fmt.Errorf("nats: %w", nats.ErrConnectionClosed)
	}
	return nil
}

// encryption returns the TLS settings, nil for plain TCP.
func (c RedisConfig) encryption() (*tls.Config, error) {
	if !c.TLS {
		return nil, nil
	}
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, err
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return settings, nil
}
