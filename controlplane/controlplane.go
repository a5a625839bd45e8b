// Package controlplane is the tier that answers the HTTP API. It holds nothing
// that it cannot lose: any replica serves any call.
//
//	httpapi → calls → placement   which worker
//	                → directory   who owns what, in Redis
//	                → dispatch    commands to the workers, over NATS
//
// # Guarantees
//
// Established media does not depend on a control plane. With Redis down, calls
// on sessions that exist still work; with NATS down, calls fail as retryable.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/directory"
	"switchboard/controlplane/internal/dispatch"
	"switchboard/controlplane/internal/httpapi"
	"switchboard/controlplane/internal/placement"
)

// Deps is what a control plane uses and does not own. Connect makes them.
type Deps struct {
	NATS  *nats.Conn
	Redis redis.UniversalClient
	// Log may be nil.
	Log *zap.Logger
	// Pages is served outside of the API's paths; nil: nothing is.
	Pages http.Handler
}

// ControlPlane is one replica. Run it once; its other methods are safe for
// concurrent use.
type ControlPlane struct {
	config  Config
	deps    Deps
	apps    *httpapi.Authenticator
	address string // set before ready is closed
	ready   chan struct{}
}

// New checks the configuration. Nothing runs before Run.
func New(c Config, d Deps) (*ControlPlane, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if d.NATS == nil || d.Redis == nil {
		return nil, errors.New("a control plane needs a NATS connection and a Redis client")
	}
	if d.Log == nil {
		d.Log = zap.NewNop()
	}
	apps, err := httpapi.NewAuthenticator(c.authenticated())
	if err != nil {
		return nil, err
	}
	return &ControlPlane{config: c, deps: d, apps: apps, ready: make(chan struct{})}, nil
}

// Ready is closed when calls are answered.
func (c *ControlPlane) Ready() <-chan struct{} { return c.ready }

// Addr returns the "host:port" that is listened on, once Ready is closed.
func (c *ControlPlane) Addr() string { return c.address }

// Run serves until ctx ends, then finishes the calls in flight within
// ShutdownTimeout. It refuses a NATS server that would cut messages.
func (c *ControlPlane) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	log := c.deps.Log
	if err := awaitNATS(ctx, c.deps.NATS, log); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop
		}
		return err
	}
	workers, err := dispatch.Start(c.deps.NATS, log)
	if err != nil {
		return err
	}
	defer workers.Close()
	sessions := directory.New(c.deps.Redis, directory.Options{Region: c.config.Region})
	if err := workers.Serve(sessions); err != nil {
		return err
	}
	service, err := calls.New(sessions, workers, calls.Options{
		Policy: placement.Policy(c.config.Placement), Region: c.config.Region, Log: log,
	})
	if err != nil {
		return err
	}

	// The directory is watched until the last call has ended.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var watch sync.WaitGroup
	watch.Go(func() { sessions.Watch(watching, func(e directory.Event, err error) { onEvent(workers, log, e, err) }) })
	defer func() { stop(); watch.Wait() }()

	limits := httpapi.DefaultLimits()
	server := httpapi.Server(httpapi.New(httpapi.Options{
		Calls: service, Apps: c.apps, Limits: limits, CORSOrigins: c.config.CORSOrigins,
		Ready: func(context.Context) error { return serves(workers) },
		Log:   log, Pages: c.deps.Pages,
	}), limits)
	c.address = listener.Addr().String()
	close(c.ready)
	log.Info("serving", zap.String("address", c.address))
	return c.serve(ctx, server, listener)
}

// serve runs the server until ctx ends, and shuts it down.
func (c *ControlPlane) serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	c.deps.Log.Info("stopping when the calls in flight are answered", zap.Duration("timeout", c.config.ShutdownTimeout))
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.config.ShutdownTimeout)
	defer cancel()
	err := server.Shutdown(limit)
	if err != nil {
		err = errors.Join(fmt.Errorf("calls were cut off after %s: %w", c.config.ShutdownTimeout, err), server.Close())
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("serve: %w", ended))
	}
	return err
}

// serves says why calls cannot be served now. Redis is not asked for: without
// it calls on sessions that exist are.
func serves(workers *dispatch.Client) error {
	switch {
	case !workers.Connected():
		return errors.New("NATS is not reachable")
	case len(workers.Cluster()) == 0:
		return errors.New("no media worker is known")
	}
	return nil
}

// onEvent acts on what happened to the directory.
func onEvent(workers *dispatch.Client, log *zap.Logger, e directory.Event, err error) {
	switch e {
	case directory.DataLost:
		log.Info("the directory is new or lost data: workers announce their sessions")
		workers.RequestAnnouncements()
	case directory.Unreachable:
		log.Warn("Redis does not answer; calls on known sessions go on", zap.Error(err))
	case directory.Reachable:
		log.Info("Redis answers again")
	}
}
