package netio

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// batchSize is the most datagrams taken from a socket at once.
const batchSize = 64

// reader takes datagrams from a socket. Only the socket's loop uses it.
type reader interface {
	// read waits for at least one datagram and fills batch[:n].
	read(batch []*packet) (n int, err error)
}

// socket is one listen address. Its loop is the only reader.
type socket struct {
	mux     *Mux
	index   int // in mux.sockets and agent.conns
	conn    *net.UDPConn
	reader  reader
	writer  writer
	address netip.AddrPort
	udpAddr *net.UDPAddr
	buffer  Buffer

	mu sync.Mutex
	// remotes says to which conn an address belongs. Guarded by mu.
	remotes map[netip.AddrPort]*conn

	counters socketCounters
}

// socketCounters count what belongs to no agent.
type socketCounters struct {
	received, unknownUfrag, unknownAddress, malformed, oversized, readErrors, writeErrors atomic.Uint64
	firstArrival                                                                          atomic.Int64
}

// loop reads until the socket is closed.
func (s *socket) loop() {
	defer s.mux.loops.Done()
	batch := make([]*packet, batchSize)
	for i := range batch {
		batch[i] = newPacket()
	}
	for {
		n, err := s.reader.read(batch)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// A lasting error must not turn the loop into a spin.
			s.counters.readErrors.Add(1)
			select {
			case <-s.mux.done:
				return
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		s.counters.received.Add(uint64(n))
		noteFirst(&s.counters.firstArrival)
		s.routeAll(batch[:n])
	}
}

// routeAll routes a batch and replaces what was given away. A defect met in a
// stranger's datagram costs the rest of the batch, and no session.
func (s *socket) routeAll(batch []*packet) {
	defer func() {
		if recover() != nil {
			s.counters.malformed.Add(1)
			for i := range batch {
				batch[i] = newPacket()
			}
		}
	}()
	for i, p := range batch {
		if s.route(p) {
			batch[i] = newPacket()
		}
	}
}

// route hands a packet to the agent it is for. It reports whether it gave the
// packet away; otherwise it was dropped and counted, leaving no state.
func (s *socket) route(p *packet) bool {
	if p.n >= packetSize {
		s.counters.oversized.Add(1)
		return false
	}
	switch classify(p.bytes()) {
	case classSTUN:
		return s.routeSTUN(p)
	case classDTLS:
		c := s.connOf(p.from)
		if c == nil {
			return false
		}
		c.agent.counters.dtls.Add(1)
		c.deliver(p)
		return true
	case classMedia:
		c := s.connOf(p.from)
		if c == nil {
			return false
		}
		if !c.admission.admits(p.bytes()) {
			c.agent.counters.dropped.Add(1)
			return false
		}
		c.agent.counters.media.Add(1)
		c.deliver(p)
		return true
	}
	s.counters.malformed.Add(1)
	return false
}

// routeSTUN is route for STUN: a request goes by its USERNAME, wherever it
// comes from, a response or an indication by its source.
func (s *socket) routeSTUN(p *packet) bool {
	typ, ok := stunType(p.bytes())
	if !ok {
		s.counters.malformed.Add(1)
		return false
	}
	if typ != stunBindRequest {
		c := s.connOf(p.from)
		if c == nil {
			return false
		}
		c.agent.counters.stunOther.Add(1)
		c.deliver(p)
		return true
	}
	ufrag := requestUfrag(p.bytes())
	if ufrag == nil {
		s.counters.malformed.Add(1)
		return false
	}
	a := s.mux.agent(ufrag)
	if a == nil {
		s.counters.unknownUfrag.Add(1)
		return false
	}
	a.counters.stunRequests.Add(1)
	noteFirst(&a.counters.firstArrival)
	return a.check(s, p)
}

// stranger reports whether an address is not one of c's.
func (s *socket) stranger(c *conn, from netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remotes[from] != c
}

// connOf returns the conn that an address is bound to, or counts and returns nil.
func (s *socket) connOf(from netip.AddrPort) *conn {
	s.mu.Lock()
	c := s.remotes[from]
	s.mu.Unlock()
	if c == nil {
		s.counters.unknownAddress.Add(1)
	}
	return c
}

// bind lets datagrams from a remote address reach c. An address that is bound
// to another conn moves only when authenticated is true: when the write that
// asks for it is the answer to a check, which the agent sends only after it
// has verified the check's MESSAGE-INTEGRITY.
func (s *socket) bind(c *conn, remote netip.AddrPort, authenticated bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.removed {
		return
	}
	switch owner := s.remotes[remote]; {
	case owner == c:
		for _, r := range c.remotes {
			if *r == remote {
				c.bound.Store(r)
			}
		}
		return
	case owner != nil && !authenticated:
		return
	case owner != nil:
		owner.forget(remote)
	}
	if authenticated {
		c.admission.answers()
	}
	if len(c.remotes) == maxRemotes {
		oldest := *c.remotes[0]
		c.forget(oldest)
		delete(s.remotes, oldest)
	}
	r := new(netip.AddrPort)
	*r = remote
	c.remotes = append(c.remotes, r)
	s.remotes[remote] = c
	c.bound.Store(r)
}

// forget drops an address from c's own list. Under socket.mu.
func (c *conn) forget(remote netip.AddrPort) {
	for i, r := range c.remotes {
		if *r == remote {
			c.remotes = append(c.remotes[:i], c.remotes[i+1:]...)
			c.bound.CompareAndSwap(r, nil)
			return
		}
	}
}

// unbind removes all of a conn's addresses for good.
func (s *socket) unbind(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.removed = true
	for _, r := range c.remotes {
		if s.remotes[*r] == c {
			delete(s.remotes, *r)
		}
	}
	c.remotes = nil
	c.bound.Store(nil)
}

func noteFirst(at *atomic.Int64) {
	if at.Load() == 0 {
		at.CompareAndSwap(0, time.Now().UnixNano())
	}
}
