// Package mediaworker runs one media worker: it owns PeerConnections, forwards
// their media, and is told what to do over NATS.
//
// Guarantees: established media depends on nothing but this process (NATS may
// be away for as long as it likes); a worker's id is fresh at each start, so an
// id never means two processes; what Run opened is closed when it returns.
package mediaworker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// stopTimeout bounds the wait for the replies of commands that were in flight
// when the worker stops.
const stopTimeout = 5 * time.Second

// errStopped ends a start that was told to stop before NATS was reached.
var errStopped = errors.New("stopped")

// Deps is what a Worker is given; all are required.
type Deps struct {
	// NATS must outlive Run, stays the caller's, and need not be connected yet.
	NATS *nats.Conn
	Log  *zap.Logger
}

// Worker is one media worker. Its methods may be called from any goroutine.
type Worker struct {
	config Config
	deps   Deps
	id     ids.WorkerID

	ready    chan struct{}
	parts    atomic.Pointer[parts] // set before ready is closed
	draining atomic.Bool

	mu     sync.Mutex         // guards the sending side of drains
	drains chan time.Duration // the newest drain that Run has not seen
}

// New returns a worker with a fresh id. It checks the configuration and opens
// nothing: sockets and subscriptions begin and end with Run.
func New(config Config, deps Deps) (*Worker, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if deps.NATS == nil || deps.Log == nil {
		return nil, errors.New("mediaworker: Deps lacks NATS or Log")
	}
	id, err := ids.NewWorkerID(config.Label)
	if err != nil {
		return nil, err
	}
	deps.Log = deps.Log.With(zap.String("worker", string(id)))
	return &Worker{config: config, deps: deps, id: id, ready: make(chan struct{}), drains: make(chan time.Duration, 1)}, nil
}

// ID returns the worker's id.
func (w *Worker) ID() ids.WorkerID { return w.id }

// Ready is closed when the worker takes commands.
func (w *Worker) Ready() <-chan struct{} { return w.ready }

// MediaAddresses returns the advertised "host:port" of the media sockets, nil
// before Ready.
func (w *Worker) MediaAddresses() []string {
	if p := w.parts.Load(); p != nil {
		return p.addresses
	}
	return nil
}

// Snapshot returns the worker's load and its counters, zero before Ready.
func (w *Worker) Snapshot() wire.Snapshot {
	if p := w.parts.Load(); p != nil {
		return p.snapshot()
	}
	return wire.Snapshot{}
}

// Drain makes the worker take no new sessions; Run returns when the last one
// has ended or Config.DrainTimeout has passed.
func (w *Worker) Drain() { w.drain(w.config.DrainTimeout) }

// drain is Drain with a timeout of its own, which replaces that of an earlier
// drain; 0 waits as long as it takes.
func (w *Worker) drain(timeout time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.draining.Store(true)
	select {
	case <-w.drains:
	default:
	}
	w.drains <- timeout
}

// Run serves until ctx ends or a drain is complete, then says goodbye, ends
// every session and closes its sockets. It may be called once. It returns nil
// after an orderly stop, else why the worker could not start.
func (w *Worker) Run(ctx context.Context) error {
	p, err := w.start(ctx)
	switch {
	case errors.Is(err, errStopped):
		return nil
	case err != nil:
		return err
	}
	reason := w.serve(ctx, p)
	p.stop(reason)
	w.deps.Log.Info("worker stopped", zap.String("reason", reason))
	return nil
}

// serve waits for the end and returns its reason.
func (w *Worker) serve(ctx context.Context, p *parts) string {
	var empty <-chan struct{}
	var deadline <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return "stopped"
		case timeout := <-w.drains:
			empty, deadline = p.registry.Drain(), nil
			if timeout > 0 {
				deadline = time.After(timeout)
			}
			p.reporter.Beat()
			w.deps.Log.Info("draining: no new sessions", zap.Int("sessions", p.registry.Count().Sessions), zap.Duration("timeout", timeout))
		case <-empty:
			return "drained"
		case <-deadline:
			return "drain timed out"
		}
	}
}
