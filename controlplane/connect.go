package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
	"switchboard/shared/natsconn"
)

// Connect returns the connections that a control plane needs, and what closes
// them. It waits for neither NATS nor Redis, whose outages a control plane
// outlives: an error is one of the configuration.
func Connect(c Config, log *zap.Logger) (Deps, func(), error) {
	nc, err := natsconn.Connect(c.NATS, "controlplane", log)
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

// awaitNATS waits for the first connection, without which no call can be
// served, or for the end of ctx.
func awaitNATS(ctx context.Context, nc *nats.Conn, log *zap.Logger) error {
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	if !nc.IsConnected() && !nc.IsClosed() {
		log.Info("waiting for NATS", zap.Strings("servers", nc.Servers()))
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
