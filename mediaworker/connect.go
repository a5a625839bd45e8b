package mediaworker

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/wire"
)

// NATSConfig is how a worker reaches NATS.
type NATSConfig struct {
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

// Connect returns a connection for Deps.NATS, which the caller closes. It does
// not wait for a server, and it is never given up: a worker outlives NATS. An
// error is one of the configuration.
func Connect(config NATSConfig, name string, log *zap.Logger) (*nats.Conn, error) {
	var reported atomic.Bool // the present outage was logged
	lost := func(err error) {
		if !reported.Swap(true) {
			log.Warn("NATS is not reachable; media flows on and the connection is retried", zap.String("server", config.URL), zap.Error(err))
		}
	}
	options := []nats.Option{
		nats.Name(name),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(500*time.Millisecond, 500*time.Millisecond),
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
	if config.Credentials != "" {
		options = append(options, nats.UserCredentials(config.Credentials))
	}
	if config.CA != "" {
		options = append(options, nats.RootCAs(config.CA))
	}
	if config.Cert != "" || config.Key != "" {
		options = append(options, nats.ClientCert(config.Cert, config.Key))
	}
	conn, err := nats.Connect(config.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return conn, nil
}

// awaitNATS waits for the connection, without which no session can come, and
// refuses a server that would cut messages.
func (w *Worker) awaitNATS(ctx context.Context) error {
	nc := w.deps.NATS
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	if !nc.IsConnected() && !nc.IsClosed() {
		w.deps.Log.Info("waiting for NATS")
		select {
		case <-changed:
		case <-w.drains: // there is nothing to drain
			return errStopped
		case <-ctx.Done():
			return errStopped
		}
	}
	if nc.IsClosed() {
		return fmt.Errorf("nats: %w", nats.ErrConnectionClosed)
	}
	return checkMaxPayload(nc)
}

func checkMaxPayload(nc *nats.Conn) error {
	if have := nc.MaxPayload(); have < wire.MinMaxPayload {
		return fmt.Errorf("nats: the server's max_payload is %d bytes, session descriptions need %d: set max_payload: 1MB or more in its configuration", have, wire.MinMaxPayload)
	}
	return nil
}

// watchNATS tells the control planes at once that the worker is back.
func (p *parts) watchNATS(ctx context.Context) {
	nc, log := p.worker.deps.NATS, p.worker.deps.Log
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	for {
		select {
		case <-ctx.Done():
			return
		case status := <-changed:
			if status == nats.CLOSED {
				log.Error("the NATS connection is closed for good: established media flows on, no command will come")
				return
			}
			if err := checkMaxPayload(nc); err != nil {
				log.Error("large commands will fail", zap.Error(err))
			}
			p.reporter.Beat()
		}
	}
}
