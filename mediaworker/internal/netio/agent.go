package netio

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHeld is from how many sources checks are kept by Hold.
	maxHeld = 8
	// maxHeldAge is how old a check may be when Release hands it over: a
	// client has sent it again by then.
	maxHeldAge = time.Second
)

// agent is one registered ICE user fragment.
type agent struct {
	ufrag string
	// conns holds the agent's conn on each of the mux's sockets, or nil.
	conns    []atomic.Pointer[conn]
	counters agentCounters
	egress   *Egress

	// holding is true between Hold and Release; written under mu, so that the
	// usual case costs the receive path one load.
	holding atomic.Bool
	mu      sync.Mutex
	// held are the newest checks, one per source, oldest first. Guarded by mu.
	held []heldCheck
}

type heldCheck struct {
	packet  *packet
	socket  *socket
	arrived time.Time
}

type agentCounters struct {
	stunRequests, stunOther, dtls, media, sent, messages, held, dropped atomic.Uint64
	firstArrival                                                        atomic.Int64
}

func newAgent(ufrag string, e *Egress, sockets int) *agent {
	return &agent{ufrag: ufrag, egress: e, conns: make([]atomic.Pointer[conn], sockets)}
}

// check takes a connectivity check that arrived on s: it keeps it while
// holding, else delivers it. It reports whether it gave the packet away.
func (a *agent) check(s *socket, p *packet) bool {
	if a.holding.Load() && a.hold(s, p) {
		return true
	}
	c := a.conns[s.index].Load()
	if c == nil || c.admission.crowded() && s.stranger(c, p.from) {
		a.counters.dropped.Add(1)
		return false
	}
	c.deliver(p)
	return true
}

// hold keeps a check; false when Release came first.
func (a *agent) hold(s *socket, p *packet) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.holding.Load() {
		return false
	}
	a.counters.held.Add(1)
	older := 0
	replaces := len(a.held) == maxHeld
	for i, h := range a.held {
		if h.socket == s && h.packet.from == p.from {
			older, replaces = i, true
			break
		}
	}
	if replaces {
		a.held[older].packet.recycle()
		a.held = append(a.held[:older], a.held[older+1:]...)
	}
	a.held = append(a.held, heldCheck{packet: p, socket: s, arrived: time.Now()})
	return true
}

// startHolding is Hold.
func (a *agent) startHolding() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holding.Store(true)
}

// release is Release. The kept checks are queued before any later one, as
// check waits for mu while holding is true.
func (a *agent) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		c := a.conns[h.socket.index].Load()
		if c == nil || time.Since(h.arrived) > maxHeldAge {
			a.counters.dropped.Add(1)
			h.packet.recycle()
			continue
		}
		c.deliver(h.packet)
	}
	a.held = nil
	a.holding.Store(false)
}

// close ends the agent's conns and drops what it held.
func (a *agent) close() {
	a.mu.Lock()
	a.holding.Store(false)
	for _, h := range a.held {
		h.packet.recycle()
	}
	a.held = nil
	a.mu.Unlock()
	for i := range a.conns {
		if c := a.conns[i].Load(); c != nil {
			c.close()
		}
	}
}
