package session

import (
	"context"
	"sync"
	"time"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	// remembered is how many commands a session remembers, and for how long.
	remembered    = 64
	rememberedFor = 60 * time.Second
	// mailboxSize is how many commands of a session may be under way.
	mailboxSize = 32
)

// attempt is one command under way or done.
type attempt struct {
	id      ids.CommandID
	done    chan struct{} // closed when reply and err are set
	reply   wire.Message
	err     error
	expires time.Time
}

func (a *attempt) wait(ctx context.Context) (wire.Message, error) {
	select {
	case <-a.done:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, fault.Timeout.New("")
	}
}

// memory gives a command that is sent again the outcome of its first attempt,
// and bounds how many are under way. Safe for concurrent use.
type memory struct {
	mu       sync.Mutex // guards what follows
	attempts map[ids.CommandID]*attempt
	order    []*attempt // oldest first
	underWay int
}

// begin returns the attempt of that id; first is true when the caller must
// carry it out and finish it. It fails with WorkerBusy when too many are under
// way.
func (m *memory) begin(id ids.CommandID, now time.Time) (a *attempt, first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a, ok := m.attempts[id]; ok && id != "" && (a.expires.IsZero() || now.Before(a.expires)) {
		return a, false, nil
	}
	if m.underWay >= mailboxSize {
		return nil, false, fault.WorkerBusy.New("")
	}
	a = &attempt{id: id, done: make(chan struct{})}
	m.underWay++
	if id == "" {
		return a, true, nil
	}
	if m.attempts == nil {
		m.attempts = make(map[ids.CommandID]*attempt)
	}
	m.attempts[id] = a
	m.order = append(m.order, a)
	return a, true, nil
}

// finish records the outcome. One that says nothing about the command itself,
// only about the time it had, is forgotten: a retry is then carried out.
func (m *memory) finish(a *attempt, reply wire.Message, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.underWay--
	a.reply, a.err, a.expires = reply, err, now.Add(rememberedFor)
	if fault.Timeout.Is(err) || fault.WorkerBusy.Is(err) {
		a.expires = now
	}
	close(a.done)
	m.prune(now)
}

// prune forgets finished attempts that are too old or too many.
func (m *memory) prune(now time.Time) {
	kept := m.order[:0]
	excess := len(m.order) - remembered
	for _, a := range m.order {
		if !a.expires.IsZero() && (excess > 0 || !now.Before(a.expires)) {
			excess--
			if m.attempts[a.id] == a {
				delete(m.attempts, a.id)
			}
			continue
		}
		kept = append(kept, a)
	}
	clear(m.order[len(kept):])
	m.order = kept
}
