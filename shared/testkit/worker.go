package testkit

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"switchboard/shared/ids"
	"switchboard/shared/standin"
	"switchboard/shared/wire"
)

// WorkerOptions says how a scripted worker behaves; the zero value is an idle
// worker that serves.
type WorkerOptions struct {
	// ID is fresh when empty.
	ID     ids.WorkerID
	Region string
	// MaxSessions is announced and enforced; 0 means no limit.
	MaxSessions int
	// BeatEvery is the time between heartbeats; 0 means a second.
	BeatEvery time.Duration
	// Before runs on a command's own goroutine before the command takes effect,
	// once per command id. It may hold the command by blocking; ctx ends when the
	// worker is killed, and a command held until then has no effect.
	Before func(ctx context.Context, op wire.Operation, id ids.CommandID)
}

// Worker is a media worker without media: it holds sessions and publications,
// answers commands, heartbeats and leases as a real one does, and gives SDP that
// is only a marker. Its methods are safe for concurrent use.
type Worker struct {
	ID ids.WorkerID

	tb      testing.TB
	options WorkerOptions
	nc      *nats.Conn
	ctx     context.Context // ends with Kill
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	stopped  bool
	frozen   bool
	draining bool
	sessions map[wire.SessionRef]*workerSession
	commands map[ids.CommandID]*execution
	received int
	fenced   []ids.SessionID
}

// StartWorker starts a worker with a connection of its own, and returns when
// the server knows its subscriptions and has its first heartbeat. It is killed
// with the test at the latest.
func StartWorker(tb testing.TB, server *standin.NATS, o WorkerOptions) *Worker {
	tb.Helper()
	if o.ID == "" {
		id, err := ids.NewWorkerID("test")
		if err != nil {
			tb.Fatal(err)
		}
		o.ID = id
	}
	if o.BeatEvery == 0 {
		o.BeatEvery = time.Second
	}
	nc, err := server.Connect(string(o.ID))
	if err != nil {
		tb.Fatal(err)
	}
	w := &Worker{
		ID: o.ID, tb: tb, options: o, nc: nc,
		sessions: map[wire.SessionRef]*workerSession{}, commands: map[ids.CommandID]*execution{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	tb.Cleanup(w.Kill)
	for _, op := range wire.Operations {
		w.subscribe(wire.WorkerSubject(w.ID, op), func(msg *nats.Msg) { w.command(op, msg) })
	}
	w.subscribe(wire.SubjectLocate, w.locate)
	w.subscribe(wire.SubjectWorkers, w.notice)
	w.Beat()
	if err := nc.Flush(); err != nil {
		tb.Fatal(err)
	}
	w.running.Go(w.beats)
	return w
}

func (w *Worker) subscribe(subject string, handle nats.MsgHandler) {
	w.tb.Helper()
	if _, err := w.nc.Subscribe(subject, handle); err != nil {
		w.tb.Fatal(err)
	}
}

func (w *Worker) beats() {
	ticker := time.NewTicker(w.options.BeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
			w.Beat()
		}
	}
}

// Beat sends a heartbeat now.
func (w *Worker) Beat() {
	w.mu.Lock()
	h := wire.Heartbeat{
		Worker: w.ID, Label: "test", Region: w.options.Region, State: wire.WorkerServing,
		Sessions: len(w.sessions), MaxSessions: w.options.MaxSessions, MediaAddresses: []string{},
	}
	if w.draining {
		h.State = wire.WorkerDraining
	}
	silent := w.frozen || w.stopped
	w.mu.Unlock()
	if !silent {
		w.publish(wire.HeartbeatSubject(w.ID), h)
	}
}

// Drain refuses new sessions from now on, and says so in a heartbeat.
func (w *Worker) Drain() {
	w.mu.Lock()
	w.draining = true
	w.mu.Unlock()
	w.Beat()
}

// Freeze lets the worker neither answer nor beat, while its connection stays.
func (w *Worker) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = true
}

// Thaw ends Freeze.
func (w *Worker) Thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frozen = false
}

// Bye says goodbye and leaves.
func (w *Worker) Bye(reason string) {
	w.publish(wire.ByeSubject(w.ID), wire.Bye{Worker: w.ID, Reason: reason})
	if err := w.nc.Flush(); err != nil {
		w.tb.Error(err)
	}
	w.Kill()
}

// Kill ends the worker as a crash does: without a word. Commands that it holds
// are never answered. Killing twice does nothing.
func (w *Worker) Kill() {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
	w.nc.Close()
	w.running.Wait()
}

// Holds reports whether the worker has the session.
func (w *Worker) Holds(ref wire.SessionRef) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sessions[ref] != nil
}

// Sessions counts the sessions held.
func (w *Worker) Sessions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sessions)
}

// Forget drops a session without telling anybody, as a client that vanished.
func (w *Worker) Forget(ref wire.SessionRef) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.sessions, ref)
}

// Executed counts the commands that took effect, Received the messages that
// brought them.
func (w *Worker) Executed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.commands)
}

// Received counts the command messages that arrived, repetitions included.
func (w *Worker) Received() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.received
}

// Fenced lists the sessions that the worker closed because the directory said
// that another worker owns them.
func (w *Worker) Fenced() []ids.SessionID {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]ids.SessionID(nil), w.fenced...)
}

func (w *Worker) publish(subject string, message any) {
	data, err := wire.Encode(message)
	if err != nil {
		w.tb.Error(err)
		return
	}
	if err := w.nc.Publish(subject, data); err != nil && !w.nc.IsClosed() {
		w.tb.Error(err)
	}
}
