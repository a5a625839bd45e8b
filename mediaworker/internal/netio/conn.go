package netio

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQueue is how many datagrams wait for an agent that reads too slowly;
	// the oldest is dropped for a new one, as only fresh media is of use.
	maxQueue     = 512
	initialQueue = 16
	// maxRemotes is how many remote addresses may be bound to one conn.
	maxRemotes = 64
)

// conn is the queue between a socket's loop and one agent: what pion sees as
// the agent's own socket. Several handles may share it.
type conn struct {
	agent     *agent
	socket    *socket
	admission admission

	// bound is the address of the latest write, while it is bound to this
	// conn in the socket's table; written under socket.mu, read by writers.
	bound atomic.Pointer[netip.AddrPort]
	// remotes are the addresses bound to this conn, oldest first, and removed
	// says that no more may be; both guarded by socket.mu.
	remotes []*netip.AddrPort
	removed bool

	mu      sync.Mutex // guards what follows
	arrived sync.Cond
	ring    []*packet // capacity a power of two
	head    int
	count   int
	handles int
	closed  bool
}

func newConn(a *agent, s *socket) *conn {
	c := &conn{agent: a, socket: s, admission: newAdmission()}
	c.arrived.L = &c.mu
	return c
}

// open adds a handle; nil when the conn is closed.
func (c *conn) open() *handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.handles++
	return &handle{conn: c}
}

// deliver queues a packet and owns it from then on.
func (c *conn) deliver(p *packet) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		c.agent.counters.dropped.Add(1)
		p.recycle()
		return
	}
	var oldest *packet
	if c.count == maxQueue {
		oldest = c.pop()
	} else if c.count == len(c.ring) {
		c.grow()
	}
	c.ring[(c.head+c.count)&(len(c.ring)-1)] = p
	c.count++
	c.arrived.Signal()
	c.mu.Unlock()
	if oldest != nil {
		c.agent.counters.dropped.Add(1)
		oldest.recycle()
	}
}

// pop takes the oldest packet; the queue must not be empty. Under c.mu.
func (c *conn) pop() *packet {
	p := c.ring[c.head]
	c.ring[c.head] = nil
	c.head = (c.head + 1) & (len(c.ring) - 1)
	c.count--
	return p
}

// grow doubles the ring. Under c.mu.
func (c *conn) grow() {
	ring := make([]*packet, max(initialQueue, 2*len(c.ring)))
	for i := range c.count {
		ring[i] = c.ring[(c.head+i)&(len(c.ring)-1)]
	}
	c.ring, c.head = ring, 0
}

// close ends all handles and unbinds the conn's addresses.
func (c *conn) close() {
	c.mu.Lock()
	c.closed = true
	for c.count > 0 {
		c.pop().recycle()
	}
	c.ring = nil
	c.arrived.Broadcast()
	c.mu.Unlock()
	c.socket.unbind(c)
	c.agent.conns[c.socket.index].CompareAndSwap(c, nil)
}

// handle is one net.PacketConn over a conn; pion asks for several where
// several candidates share an address. It also has the netip.AddrPort methods
// by which pion reads and writes without allocating. All methods may be called
// concurrently.
type handle struct {
	conn *conn

	// Guarded by conn.mu.
	closed   bool
	deadline time.Time
	expiry   *time.Timer

	writeDeadline atomic.Int64 // Unix nanoseconds, 0 for none
}

var _ net.PacketConn = (*handle)(nil)

// ReadFrom is ReadFromAddrPort with the address as a net.Addr.
func (h *handle) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := h.ReadFromAddrPort(b)
	if !from.IsValid() {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), err
}

// ReadFromAddrPort waits for the agent's next datagram and copies it to b. It
// returns net.ErrClosed once the handle or the conn is closed,
// os.ErrDeadlineExceeded after the read deadline, and io.ErrShortBuffer, with
// the datagram lost, when b is too small.
func (h *handle) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	p, err := h.next()
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	defer p.recycle()
	if len(b) < p.n {
		return 0, p.from, io.ErrShortBuffer
	}
	return copy(b, p.bytes()), p.from, nil
}

func (h *handle) next() (*packet, error) {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case h.closed || c.closed:
			return nil, net.ErrClosed
		case !h.deadline.IsZero() && !time.Now().Before(h.deadline):
			return nil, os.ErrDeadlineExceeded
		case c.count > 0:
			return c.pop(), nil
		}
		c.arrived.Wait()
	}
}

// WriteTo is WriteToAddrPort for a *net.UDPAddr.
func (h *handle) WriteTo(b []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, &net.AddrError{Err: "not a UDP address", Addr: to.String()}
	}
	return h.WriteToAddrPort(b, udp.AddrPort())
}

// WriteToAddrPort sends b from the conn's listen address and binds the remote
// address to the conn (see socket.bind); RTP may be held back by the agent's
// Egress. It returns io.ErrClosedPipe once closed. A full socket buffer makes it wait for the network card, whatever
// the write deadline, which is only looked at before writing.
func (h *handle) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c := h.conn
	if h.isClosed() {
		return 0, io.ErrClosedPipe
	}
	if d := h.writeDeadline.Load(); d != 0 && time.Now().UnixNano() >= d {
		return 0, os.ErrDeadlineExceeded
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	if bound := c.bound.Load(); bound == nil || *bound != to {
		typ, isSTUN := uint16(0), false
		if classify(b) == classSTUN {
			typ, isSTUN = stunType(b)
		}
		c.socket.bind(c, to, isSTUN && typ == stunBindSuccess)
	}
	return c.agent.egress.write(c, b, to)
}

// send sends one datagram at once.
func (c *conn) send(b []byte, to netip.AddrPort) (int, error) {
	n, err := c.socket.writer.write(b, to)
	if err != nil {
		c.socket.counters.writeErrors.Add(1)
		return n, err
	}
	c.agent.counters.sent.Add(1)
	c.agent.counters.messages.Add(1)
	return n, nil
}

func (h *handle) isClosed() bool {
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	return h.closed || h.conn.closed
}

// LocalAddr is the listen address.
func (h *handle) LocalAddr() net.Addr { return h.conn.socket.udpAddr }

// SetDeadline sets the read and the write deadline; the zero time means none.
func (h *handle) SetDeadline(t time.Time) error {
	if err := h.SetReadDeadline(t); err != nil {
		return err
	}
	return h.SetWriteDeadline(t)
}

// SetReadDeadline ends waiting reads of this handle at t.
func (h *handle) SetReadDeadline(t time.Time) error {
	c := h.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.closed || c.closed {
		return net.ErrClosed
	}
	h.stopExpiry()
	h.deadline = t
	if t.IsZero() {
		return nil
	}
	h.expiry = time.AfterFunc(time.Until(t), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.arrived.Broadcast()
	})
	return nil
}

// SetWriteDeadline makes writes fail from t on.
func (h *handle) SetWriteDeadline(t time.Time) error {
	if h.isClosed() {
		return net.ErrClosed
	}
	if t.IsZero() {
		h.writeDeadline.Store(0)
	} else {
		h.writeDeadline.Store(t.UnixNano())
	}
	return nil
}

// stopExpiry stops the deadline's timer. Under conn.mu.
func (h *handle) stopExpiry() {
	if h.expiry != nil {
		h.expiry.Stop()
		h.expiry = nil
	}
}

// Close ends this handle, and the conn with its last handle. Closing twice is
// not an error.
func (h *handle) Close() error {
	c := h.conn
	c.mu.Lock()
	if h.closed {
		c.mu.Unlock()
		return nil
	}
	h.closed = true
	h.stopExpiry()
	c.handles--
	last := c.handles == 0
	c.arrived.Broadcast()
	c.mu.Unlock()
	if last {
		c.close()
	}
	return nil
}
