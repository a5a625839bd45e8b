// Package mediaworker runs one media worker: it owns PeerConnections, forwards
// their media, and is told what to do over NATS.
//
// Guarantees: established media depends on nothing but this process (NATS may
// be away for as long as it likes); a worker's id is fresh at each start, so an
// id never means two processes.
package mediaworker

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Deps is what a Worker is given. The caller keeps ownership: the connection
// must outlive Run and is not closed by it.
type Deps struct {
	NATS *nats.Conn
	Log  *zap.Logger
}

// Worker is one media worker. Its methods may be called from any goroutine.
type Worker struct {
	config Config
	deps   Deps
	id     ids.WorkerID
	ready  chan struct{}
}

// New returns a worker with a fresh id. It checks the configuration and opens
// nothing: sockets and subscriptions begin and end with Run.
func New(config Config, deps Deps) (*Worker, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	id, err := ids.NewWorkerID(config.Label)
	if err != nil {
		return nil, err
	}
	return &Worker{config: config, deps: deps, id: id, ready: make(chan struct{})}, nil
}

// ID returns the worker's id.
func (w *Worker) ID() ids.WorkerID { return w.id }

// Ready is closed when the worker takes commands.
func (w *Worker) Ready() <-chan struct{} { return w.ready }

// MediaAddresses returns the advertised "host:port" of the media sockets, nil
// before Ready.
func (w *Worker) MediaAddresses() []string { return nil }

// Snapshot returns the worker's load and its counters.
func (w *Worker) Snapshot() wire.Snapshot { return wire.Snapshot{} }

// Drain makes the worker take no new sessions; Run returns when the last one
// has ended or Config.DrainTimeout has passed. Repeating it changes nothing.
func (w *Worker) Drain() {}

// Run serves until ctx ends or a drain is complete, then says goodbye, ends
// every session and closes its sockets. It may be called once. It returns nil
// after an orderly stop, else why the worker could not start.
func (w *Worker) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
