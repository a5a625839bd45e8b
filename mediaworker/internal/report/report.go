// Package report tells the control planes that this worker lives, what load it
// carries and which sessions it holds.
//
// Guarantees: a heartbeat goes out once a second however slow the directory
// is, because leases are renewed on their own goroutine; nothing here is ever
// waited for by media; no heartbeat follows the goodbye.
package report

import (
	"context"
	"iter"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	beatEvery  = time.Second
	renewEvery = 20 * time.Second // a third of the directory's lease
	retryAfter = time.Second
	// requestTimeout bounds one renewal or announcement; it is retried.
	requestTimeout = 2 * time.Second
	// announceSpread keeps many workers from announcing in the same instant.
	announceSpread = 500 * time.Millisecond
	flushTimeout   = time.Second
)

// Bus carries messages to the control planes. Conn makes one of a NATS
// connection.
type Bus interface {
	// Publish sends data without waiting; it fails at once while disconnected,
	// for a report that arrives late says something false.
	Publish(subject string, data []byte) error
	// Request returns the body of the reply.
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
	// Flush waits until what was published has left this process.
	Flush(ctx context.Context) error
}

// Sessions is the worker's session registry. Its methods are safe for
// concurrent use.
type Sessions interface {
	// Leases yields every session held.
	Leases() iter.Seq[wire.Announcement]
	// Fence closes sessions that another worker owns.
	Fence(sessions []ids.SessionID)
}

// Config is what a Reporter needs; every field is required.
type Config struct {
	Bus      Bus
	Worker   ids.WorkerID
	Sessions Sessions
	// Load returns the present heartbeat but for Worker and CPU, which the
	// Reporter fills in. It is called from any goroutine.
	Load func() wire.Heartbeat
	Log  *zap.Logger
}

// Reporter sends heartbeats and keeps leases. Run owns its two goroutines; the
// other methods may be called from any goroutine.
type Reporter struct {
	Config
	cpu      cpuMeter
	beat     chan struct{}
	announce chan struct{}
}

// New returns a Reporter that is silent until Run.
func New(config Config) *Reporter {
	return &Reporter{Config: config, beat: make(chan struct{}, 1), announce: make(chan struct{}, 1)}
}

// Beat asks for a heartbeat at once. It does not wait for it.
func (r *Reporter) Beat() { ask(r.beat) }

// Announce asks for every session to be announced to the directory soon, until
// that succeeds. It does not wait for it.
func (r *Reporter) Announce() { ask(r.announce) }

func ask(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default: // already asked for
	}
}

// Heartbeat returns the worker's present load.
func (r *Reporter) Heartbeat() wire.Heartbeat {
	h := r.Load()
	h.Worker = r.Worker
	h.CPU = r.cpu.share(time.Now())
	return h
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	var leases sync.WaitGroup
	leases.Go(func() { r.keepLeases(ctx) })
	defer leases.Wait()

	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	for {
		r.sendHeartbeat()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.beat:
		}
	}
}

// Bye says that this worker takes no more commands. It is called after Run has
// returned and waits a second at most for the message to leave.
func (r *Reporter) Bye(reason string) {
	data, err := wire.Encode(wire.Bye{Worker: r.Worker, Reason: reason})
	if err == nil {
		err = r.Bus.Publish(wire.ByeSubject(r.Worker), data)
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		err = r.Bus.Flush(ctx)
	}
	if err != nil {
		r.Log.Warn("goodbye was not sent; the control planes will miss the heartbeats", zap.Error(err))
	}
}

func (r *Reporter) sendHeartbeat() {
	data, err := wire.Encode(r.Heartbeat())
	if err == nil {
		err = r.Bus.Publish(wire.HeartbeatSubject(r.Worker), data)
	}
	if err != nil {
		r.Log.Debug("heartbeat not sent", zap.Error(err))
	}
}
