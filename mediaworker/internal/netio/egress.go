package netio

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

const (
	// maxRun is how many datagrams are held back at most: longer runs save
	// little more, and a burst at line rate gets lost on real networks.
	maxRun = 10
	// maxRunBytes is the room for them: maxRun of the size that WebRTC sends.
	maxRunBytes = 15 << 10
)

// Egress is where the datagrams of one user fragment leave. Between Cork and
// Uncork it holds RTP back, so that a run of packets to one address costs the
// kernel little more than one; everything else passes at once, after what is
// held. The order of writes is kept always. Safe for concurrent use.
type Egress struct {
	mux   *Mux
	ufrag string
	corks atomic.Int32 // bursts under way

	mu   sync.Mutex // guards what follows; held while sending what is held
	held *batch     // nil when empty, which it is while there is no cork
	lost int        // datagrams that could not be sent since the last Uncork
	// plain is the last address to which the system refused to send runs.
	plain netip.AddrPort
}

// batch is a run of datagrams of one conn to one address.
type batch struct {
	conn  *conn
	to    netip.AddrPort
	count int
	ends  [maxRun]int // where in data each datagram ends
	data  [maxRunBytes]byte
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// start is where datagram i begins in data.
func (b *batch) start(i int) int {
	if i == 0 {
		return 0
	}
	return b.ends[i-1]
}

func (b *batch) datagram(i int) []byte { return b.data[b.start(i):b.ends[i]] }

func (b *batch) size(i int) int { return b.ends[i] - b.start(i) }

// fits says whether a datagram of that size has room.
func (b *batch) fits(size int) bool {
	return b.count < maxRun && b.start(b.count)+size <= maxRunBytes
}

func (b *batch) add(datagram []byte) {
	at := b.start(b.count)
	b.ends[b.count] = at + copy(b.data[at:], datagram)
	b.count++
}

// Cork begins a burst: RTP that is written from now on may wait for Uncork,
// which the caller must call soon, and before it waits for anything else. At
// most 10 packets wait. Bursts of several callers may overlap.
func (e *Egress) Cork() { e.corks.Add(1) }

// Uncork ends a burst and sends what is held, also of other bursts. It returns
// how many datagrams could not be sent of those that were held since the last
// Uncork; they were reported as written.
func (e *Egress) Uncork() (lost int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.corks.Add(-1)
	e.flush()
	lost, e.lost = e.lost, 0
	return lost
}

// Close ends the Egress: agents that are registered from now on do not use it.
// A second call does nothing.
func (e *Egress) Close() {
	e.mux.mu.Lock()
	defer e.mux.mu.Unlock()
	if e.mux.egresses[e.ufrag] == e {
		delete(e.mux.egresses, e.ufrag)
	}
}

// write sends a datagram from c's socket, or holds it back.
func (e *Egress) write(c *conn, b []byte, to netip.AddrPort) (int, error) {
	if e.corks.Load() == 0 {
		return c.send(b, to)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.held; h != nil && (h.conn != c || h.to != to || !h.fits(len(b)) || !isRTP(b)) {
		e.flush()
	}
	if e.corks.Load() == 0 || !isRTP(b) || len(b) > maxRunBytes {
		return c.send(b, to)
	}
	if e.held == nil {
		e.held = batches.Get().(*batch)
		e.held.conn, e.held.to, e.held.count = c, to, 0
	}
	if e.held.add(b); e.held.count == maxRun {
		e.flush()
	}
	return len(b), nil
}

// flush sends what is held. Under e.mu.
func (e *Egress) flush() {
	b := e.held
	if b == nil {
		return
	}
	e.held = nil
	c := b.conn
	r := c.socket.writer.writeBatch(b, b.to != e.plain)
	if r.refused {
		e.plain = b.to
	}
	if r.lost > 0 {
		e.lost += r.lost
		c.socket.counters.writeErrors.Add(uint64(r.lost))
	}
	c.agent.counters.sent.Add(uint64(b.count - r.lost))
	c.agent.counters.messages.Add(uint64(r.messages))
	b.conn = nil
	batches.Put(b)
}

// isRTP tells (S)RTP from everything else by its first two bytes (RFC 5761
// section 4, RFC 7983 section 7).
func isRTP(datagram []byte) bool {
	return len(datagram) > 1 && classify(datagram) == classMedia && (datagram[1] < 192 || datagram[1] > 223)
}
