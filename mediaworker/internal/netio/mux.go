package netio

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"

	"github.com/pion/ice/v4"
)

// maxEnded is how many removed agents Stats remembers.
const maxEnded = 256

// Mux shares the worker's media sockets among ICE agents. It implements
// [ice.UDPMux]; its methods may be called concurrently.
type Mux struct {
	sockets []*socket
	tcp     *ice.TCPMuxDefault // nil when off

	done  chan struct{} // closed by Close
	loops sync.WaitGroup

	// mu guards what follows. It may be held while taking an agent's, a
	// socket's or a conn's lock, never the other way round.
	mu     sync.RWMutex
	closed bool
	agents map[string]*agent
	// egresses are those that Egress gave out.
	egresses map[string]*Egress
	// ended keeps the figures of the latest removed agents, endedOrder the
	// ring of their ufrags, ended totals in endedTotal.
	ended      map[string]UfragStats
	endedOrder [maxEnded]string
	endedNext  int
	endedTotal Counters
}

var _ ice.UDPMux = (*Mux)(nil)

// GetConn returns a new handle on the connection of the agent ufrag over the
// listen address addr (one of GetListenAddresses). The caller closes it. It is
// for pion's agents; GetConn also registers the ufrag.
func (m *Mux) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) {
	s := m.socketOf(addr)
	if s == nil {
		return nil, fmt.Errorf("netio: %v is not a listen address", addr)
	}
	a, err := m.register(ufrag)
	if err != nil {
		return nil, err
	}
	for {
		c := a.conns[s.index].Load()
		if c == nil {
			fresh := newConn(a, s)
			if !a.conns[s.index].CompareAndSwap(nil, fresh) {
				continue
			}
			c = fresh
		}
		if h := c.open(); h != nil {
			return h, nil
		}
		a.conns[s.index].CompareAndSwap(c, nil)
	}
}

// register returns the agent of that ufrag, new if need be.
func (m *Mux) register(ufrag string) (*agent, error) {
	if ufrag == "" || len(ufrag) > maxUfrag {
		return nil, fmt.Errorf("netio: a ufrag has 1 to %d bytes, not %d", maxUfrag, len(ufrag))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, io.ErrClosedPipe
	}
	a := m.agents[ufrag]
	if a == nil {
		e := m.egresses[ufrag]
		if e == nil {
			e = &Egress{mux: m, ufrag: ufrag}
		}
		a = newAgent(ufrag, e, len(m.sockets))
		m.agents[ufrag] = a
	}
	return a, nil
}

// agent finds an agent for the receive path, without allocating.
func (m *Mux) agent(ufrag []byte) *agent {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.agents[string(ufrag)]
}

func (m *Mux) socketOf(addr net.Addr) *socket {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return nil
	}
	want := unmapped(udp.AddrPort())
	for _, s := range m.sockets {
		if s.address == want {
			return s
		}
	}
	return nil
}

// RemoveConnByUfrag forgets an agent: its connections end, its addresses and
// held checks are dropped. Unknown ufrags are ignored. pion calls it when an
// agent closes, fails or restarts.
func (m *Mux) RemoveConnByUfrag(ufrag string) {
	m.mu.Lock()
	a := m.agents[ufrag]
	delete(m.agents, ufrag)
	if a != nil {
		m.remember(a)
	}
	m.mu.Unlock()
	if a != nil {
		a.close()
	}
}

// remember keeps the figures of a removed agent. Under m.mu.
func (m *Mux) remember(a *agent) {
	stats := a.stats()
	m.endedTotal.add(stats)
	delete(m.ended, m.endedOrder[m.endedNext])
	m.ended[a.ufrag] = stats
	m.endedOrder[m.endedNext] = a.ufrag
	m.endedNext = (m.endedNext + 1) % maxEnded
}

// GetListenAddresses lists the UDP addresses, each a *net.UDPAddr.
func (m *Mux) GetListenAddresses() []net.Addr {
	addresses := make([]net.Addr, len(m.sockets))
	for i, s := range m.sockets {
		addresses[i] = s.udpAddr
	}
	return addresses
}

// Addresses lists the UDP listen addresses, in the order of Config.UDP.
func (m *Mux) Addresses() []netip.AddrPort {
	addresses := make([]netip.AddrPort, len(m.sockets))
	for i, s := range m.sockets {
		addresses[i] = s.address
	}
	return addresses
}

// TCPMux is the ICE-TCP side on the same addresses and port number, nil when
// Config.TCP is off. The Mux closes it.
func (m *Mux) TCPMux() ice.TCPMux {
	if m.tcp == nil {
		return nil
	}
	return m.tcp
}

// Hold makes the Mux keep early connectivity checks for this local ufrag
// instead of delivering them: the newest of each source, from at most 8
// sources. A client that answers an offer starts checking before its answer
// reaches us, and an agent without the remote credentials refuses checks. Hold
// may come before the agent gathers. RemoveConnByUfrag ends it.
func (m *Mux) Hold(ufrag string) {
	if a, err := m.register(ufrag); err == nil {
		a.startHolding()
	}
}

// Release hands over the kept checks that are at most 1 s old, oldest first,
// and delivers directly from now on. Call it when the remote description is
// applied. Without a Hold it does nothing.
func (m *Mux) Release(ufrag string) {
	if a := m.agent([]byte(ufrag)); a != nil {
		a.release()
	}
}

// Egress returns where the datagrams of this local ufrag leave, for corking. It
// may come before the agent gathers, and lasts until its Close, also when the
// agent is removed and registered again, as pion does when it restarts ICE.
func (m *Mux) Egress(ufrag string) *Egress {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.egresses[ufrag]
	if a := m.agents[ufrag]; e == nil && a != nil {
		e = a.egress
	}
	if e == nil {
		e = &Egress{mux: m, ufrag: ufrag}
	}
	m.egresses[ufrag] = e
	return e
}

// Stats returns the figures of an agent, also of the latest removed ones; ok
// is false for an unknown ufrag.
func (m *Mux) Stats(ufrag string) (stats UfragStats, ok bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if a := m.agents[ufrag]; a != nil {
		return a.stats(), true
	}
	stats, ok = m.ended[ufrag]
	return stats, ok
}

// Counters returns the totals.
func (m *Mux) Counters() Counters {
	m.mu.RLock()
	defer m.mu.RUnlock()
	total := m.endedTotal
	for _, a := range m.agents {
		total.add(a.stats())
	}
	for _, s := range m.sockets {
		total.addSocket(&s.counters)
	}
	return total
}

// Close closes the sockets, ends all connections and waits for the loops.
// Closing twice is not an error.
func (m *Mux) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	agents := m.agents
	m.agents = map[string]*agent{}
	for _, a := range agents {
		m.remember(a)
	}
	m.mu.Unlock()

	close(m.done)
	errs := make([]error, 0, len(m.sockets)+1)
	for _, s := range m.sockets {
		errs = append(errs, s.conn.Close())
	}
	for _, a := range agents {
		a.close()
	}
	if m.tcp != nil {
		errs = append(errs, m.tcp.Close())
	}
	m.loops.Wait()
	return errors.Join(errs...)
}

func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
