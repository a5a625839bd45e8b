package session

import (
	"context"
	"iter"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Deps is what a Registry is given.
type Deps struct {
	Peers       *peer.Factory
	Switchboard *switchboard.Switchboard
	Worker      ids.WorkerID
	// Usage counts what the sessions send and receive, per App.
	Usage *forward.Ledger
	Log   *zap.Logger
	// MaxSessions is the most sessions at once; 0 sets no limit.
	MaxSessions int
	// OnEnd, if not nil, hears of every session that ended, with the reason in
	// a sentence. It must not block.
	OnEnd func(app ids.AppID, session ids.SessionID, reason string)
}

// Command is one session command.
type Command struct {
	// ID is repeated by a retry, which gets the first attempt's outcome; empty
	// for a command that is never sent again.
	ID ids.CommandID
	Op wire.Operation
	// Message is the decoded, validated message of the operation: *wire.Create,
	// *wire.TracksNew, *wire.TracksClose, *wire.Renegotiate, *wire.Get or
	// *wire.Close.
	Message wire.Message
}

// Count is what a worker holds.
type Count struct{ Sessions, Publications, Subscriptions int }

// Registry holds the sessions of a worker. Safe for concurrent use.
type Registry struct {
	deps    Deps
	newPeer func(peer.Options) (transport, error)

	mu       sync.Mutex // guards what follows
	sessions map[ids.SessionID]*session
	draining bool
	empty    chan struct{} // closed when draining and without sessions
	closing  sync.WaitGroup
}

// NewRegistry returns an empty registry. It must be closed.
func NewRegistry(deps Deps) *Registry {
	if deps.Log == nil {
		deps.Log = zap.NewNop()
	}
	r := &Registry{deps: deps, sessions: make(map[ids.SessionID]*session), empty: make(chan struct{})}
	r.newPeer = func(o peer.Options) (transport, error) { return deps.Peers.New(o) }
	return r
}

// Do executes a command and returns its *wire.Reply, or for Get the
// *wire.SessionState. An error is or wraps a *fault.Fault, or is internal. ctx
// carries the call's time budget: when it ends, the call returns Timeout, while
// a command that was begun is carried through and remembered.
func (r *Registry) Do(ctx context.Context, command Command) (wire.Message, error) {
	s, err := r.find(command)
	if err != nil {
		return nil, err
	}
	a, first, err := s.memory.begin(command.ID, time.Now())
	if err != nil {
		return nil, err
	}
	if first {
		s.begin(ctx, command, a)
	}
	return a.wait(ctx)
}

// find returns the command's session, new where the command may make it.
func (r *Registry) find(command Command) (*session, error) {
	var ref wire.SessionRef
	create, thirdParty := false, false
	switch m := command.Message.(type) {
	case *wire.Create:
		ref, create, thirdParty = m.SessionRef, true, m.ThirdParty
	case *wire.TracksNew:
		ref, create, thirdParty = m.SessionRef, m.Create, m.ThirdParty
	case *wire.TracksClose:
		ref = m.SessionRef
	case *wire.Renegotiate:
		ref = m.SessionRef
	case *wire.Get:
		ref = m.SessionRef
	case *wire.Close:
		ref = m.SessionRef
	default:
		return nil, fault.Internal.New("")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sessions[ref.Session]; s != nil {
		if s.app != ref.App {
			return nil, fault.SessionGone.New("")
		}
		return s, nil
	}
	if !create {
		return nil, fault.SessionGone.New("")
	}
	if r.draining || r.deps.MaxSessions > 0 && len(r.sessions) >= r.deps.MaxSessions {
		return nil, fault.NoWorker.New("")
	}
	s := r.open(ref, thirdParty)
	r.sessions[ref.Session] = s
	return s, nil
}

// open makes a session. Its first task makes its peer, outside of r.mu.
func (r *Registry) open(ref wire.SessionRef, thirdParty bool) *session {
	s := &session{
		registry: r, app: ref.App, id: ref.Session, thirdParty: thirdParty,
		log:     r.deps.Log.With(zap.String("app", string(ref.App)), zap.String("session", string(ref.Session))),
		usage:   r.deps.Usage.App(ref.App).Child(),
		board:   r.deps.Switchboard.Join(ref.App, ref.Session),
		desired: desired{sections: make(map[string]*section)},
	}
	s.listed.Store(&[]wire.Publication{})
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.event(func() {
		first, err := s.newPeer()
		if err != nil {
			s.log.Error("no peer for a new session", zap.Error(err))
			s.end("internal error")
			return
		}
		s.peer = first
		s.firstConnect()
	})
	return s
}

// remove forgets an ended session and waits for it beside the caller.
func (r *Registry) remove(s *session, reason string) {
	r.mu.Lock()
	if r.sessions[s.id] == s {
		delete(r.sessions, s.id)
	}
	r.closing.Go(func() { s.crew.wait(); s.mailbox.wait() }) // before empty is closed, after which Close waits
	r.checkEmpty()
	r.mu.Unlock()
	if r.deps.OnEnd != nil {
		r.deps.OnEnd(s.app, s.id, reason)
	}
}

func (r *Registry) checkEmpty() {
	if r.draining && len(r.sessions) == 0 && !isClosed(r.empty) {
		close(r.empty)
	}
}

func (r *Registry) all() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// Locate reports whether the worker holds the session, and its rev.
func (r *Registry) Locate(app ids.AppID, session ids.SessionID) (rev uint64, ok bool) {
	r.mu.Lock()
	s := r.sessions[session]
	r.mu.Unlock()
	if s == nil || s.app != app {
		return 0, false
	}
	return s.rev.Load(), true
}

// Leases yields every session with what the directory keeps of it.
func (r *Registry) Leases() iter.Seq[wire.Announcement] {
	return func(yield func(wire.Announcement) bool) {
		for _, s := range r.all() {
			lease := wire.Lease{SessionRef: wire.SessionRef{App: s.app, Session: s.id}, Rev: s.rev.Load()}
			if !yield(wire.Announcement{Lease: lease, Publications: *s.listed.Load()}) {
				return
			}
		}
	}
}

// Fence ends sessions that another worker owns.
func (r *Registry) Fence(sessions []ids.SessionID) {
	for _, id := range sessions {
		r.mu.Lock()
		s := r.sessions[id]
		r.mu.Unlock()
		if s != nil {
			s.event(func() { s.end("another worker owns the session") })
		}
	}
}

// Count returns how many sessions, publications and subscriptions are held.
func (r *Registry) Count() Count {
	c := Count{Publications: r.deps.Switchboard.Tracks()}
	for _, s := range r.all() {
		c.Sessions++
		c.Subscriptions += int(s.pulls.Load())
	}
	return c
}

// Apps returns each App's total since the worker's start, ended sessions
// included, and the number of sessions that each App holds now.
func (r *Registry) Apps() (usage map[ids.AppID]wire.Usage, sessions map[ids.AppID]int) {
	sessions = make(map[ids.AppID]int)
	for _, s := range r.all() {
		sessions[s.app]++
	}
	return r.deps.Usage.Apps(), sessions
}

// Total returns the worker's total since its start.
func (r *Registry) Total() wire.Usage { return r.deps.Usage.Total() }

// Drain refuses new sessions from now on. The channel is closed when none is
// left.
func (r *Registry) Drain() (empty <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	r.checkEmpty()
	return r.empty
}

// Close ends every session and waits for their goroutines.
func (r *Registry) Close() {
	r.Drain()
	for _, s := range r.all() {
		s.event(func() { s.end("the worker stops") })
	}
	<-r.empty
	r.closing.Wait()
}
