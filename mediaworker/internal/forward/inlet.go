package forward

import (
	"io"
	"sync"
	"sync/atomic"

	"switchboard/mediaworker/internal/packet"
)

const (
	// maxHeld bounds the packets held of a stream that is not bound yet, and
	// maxHeldByLeg those of all such streams of a leg.
	maxHeld      = 256
	maxHeldByLeg = 1024
)

// inlet is where one SSRC's packets come in. Until it has a route it holds them,
// for the route to begin with.
type inlet struct {
	leg   *Leg
	ssrc  uint32
	route atomic.Pointer[route]

	mu     sync.Mutex // guards what follows
	held   []*packet.Packet
	closed bool
}

// route says what an SSRC carries.
type route struct {
	inbound *inbound // nil: nothing that is wanted
	repair  bool     // retransmissions of it
}

func (r *route) take(p *packet.Packet) {
	if r.inbound == nil {
		p.Release()
		return
	}
	r.inbound.take(p, r.repair)
}

// Write takes one decrypted packet. It never fails: what cannot be used is
// counted and dropped.
func (in *inlet) Write(b []byte) (int, error) {
	in.take(b)
	return len(b), nil
}

func (in *inlet) take(b []byte) {
	p, err := packet.Parse(b, now())
	if err != nil {
		in.leg.malformed.Add(1)
		return
	}
	in.leg.record(p)
	if r := in.route.Load(); r != nil {
		r.take(p)
		return
	}
	repaired := in.leg.repaired(in.ssrc, p)
	in.hold(p)
	if repaired != nil {
		in.open(&route{inbound: repaired, repair: true})
	}
}

// hold keeps p for the route to come, or passes it on if that came meanwhile.
func (in *inlet) hold(p *packet.Packet) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if r := in.route.Load(); r != nil {
		r.take(p)
		return
	}
	if in.closed || len(in.held) == maxHeld || !in.leg.holdOne() {
		p.Release()
		return
	}
	in.held = append(in.held, p)
}

// holdOne counts a packet as held, or reports false if the leg holds too many.
func (l *Leg) holdOne() bool {
	if l.held.Add(1) > maxHeldByLeg {
		l.held.Add(-1)
		return false
	}
	return true
}

// open sets the route; what is held goes first.
func (in *inlet) open(r *route) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.held {
		r.take(p)
	}
	in.forgetHeld()
	in.route.Store(r)
}

func (in *inlet) forgetHeld() {
	in.leg.held.Add(-int64(len(in.held)))
	in.held = nil
}

// probe returns the first held packet that f accepts.
func (in *inlet) probe(f func(*packet.Packet) *inbound) *inbound {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, p := range in.held {
		if found := f(p); found != nil {
			return found
		}
	}
	return nil
}

// Read ends at once: there is nothing for pion to read.
func (in *inlet) Read([]byte) (int, error) { return 0, io.EOF }

// Close ends the stream. A second call does nothing.
func (in *inlet) Close() error {
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return nil
	}
	in.closed = true
	waiting := in.held
	in.forgetHeld()
	in.mu.Unlock()
	release(waiting)
	in.leg.remove(in)
	return nil
}

// control is where RTCP for one SSRC comes in.
type control struct {
	leg  *Leg
	ssrc uint32
	done chan struct{}
	once sync.Once
}

// Write takes one RTCP packet, or a compound of them.
func (c *control) Write(b []byte) (int, error) {
	c.leg.dispatch(c.ssrc, b)
	return len(b), nil
}

// Read waits for Close: all RTCP is the leg's.
func (c *control) Read([]byte) (int, error) {
	<-c.done
	return 0, io.EOF
}

// Close ends Read.
func (c *control) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}
