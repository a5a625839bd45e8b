package netio

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	tcpReadQueue   = 64      // datagrams waiting for an agent, per connection
	tcpWriteBuffer = 1 << 20 // bytes waiting for a slow client, then dropped
	tcpFirstCheck  = 10 * time.Second
	maxTCPConns    = 16_384 // open connections of all clients
	// maxTCPPerHost bounds those of one address (of one /64 network for IPv6), so
	// that one host with idle connections does not shut others out.
	maxTCPPerHost = 512
)

// tcpListener accepts on several addresses with the same port as one
// net.Listener, which is what pion's ICE-TCP mux takes, and bounds the number
// of open connections.
type tcpListener struct {
	listeners []net.Listener
	accepted  chan net.Conn
	done      chan struct{}
	closing   sync.Once
	loops     sync.WaitGroup

	mu   sync.Mutex // guards what follows
	open int
	from map[netip.Prefix]int // open connections of each host
}

func listenTCP(addresses []netip.AddrPort) (*tcpListener, error) {
	l := &tcpListener{accepted: make(chan net.Conn), done: make(chan struct{}), from: make(map[netip.Prefix]int)}
	for _, a := range addresses {
		if a.Port() != addresses[0].Port() {
			_ = l.Close()
			return nil, fmt.Errorf("netio: ICE-TCP needs one port number on all addresses, not %d and %d: listen on one port or turn TCP off", addresses[0].Port(), a.Port())
		}
		network := "tcp4"
		if a.Addr().Is6() {
			network = "tcp6"
		}
		listener, err := net.ListenTCP(network, net.TCPAddrFromAddrPort(a))
		if err != nil {
			_ = l.Close()
			return nil, fmt.Errorf("netio: listen on TCP %v: %w", a, err)
		}
		l.listeners = append(l.listeners, listener)
	}
	for _, listener := range l.listeners {
		l.loops.Add(1)
		go l.accept(listener)
	}
	return l, nil
}

// accept passes one listener's connections on until it is closed.
func (l *tcpListener) accept(listener net.Listener) {
	defer l.loops.Done()
	for {
		conn, err := listener.Accept()
		if err != nil {
			select {
			case <-l.done:
				return
			case <-time.After(10 * time.Millisecond): // out of file descriptors, say
				continue
			}
		}
		counted := &countedConn{Conn: conn, listener: l, host: hostOf(conn.RemoteAddr())}
		if !l.admit(counted.host) {
			_ = conn.Close()
			continue
		}
		select {
		case l.accepted <- counted:
		case <-l.done:
			_ = counted.Close()
			return
		}
	}
}

// hostOf is what connections are counted by.
func hostOf(remote net.Addr) netip.Prefix {
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip, bits := tcp.AddrPort().Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	host, _ := ip.Prefix(bits) // fails only on an address without a family
	return host
}

// admit counts a connection, or reports that there is no room for it.
func (l *tcpListener) admit(host netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == maxTCPConns || l.from[host] == maxTCPPerHost {
		return false
	}
	l.open++
	l.from[host]++
	return true
}

// leave gives a connection's place back.
func (l *tcpListener) leave(host netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.from[host]--; l.from[host] == 0 {
		delete(l.from, host)
	}
}

// Accept returns the next connection of any address.
func (l *tcpListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr is the only address, or the unspecified one with the common port when
// there are several: pion then offers every interface address.
func (l *tcpListener) Addr() net.Addr {
	first := l.listeners[0].Addr().(*net.TCPAddr)
	if len(l.listeners) == 1 {
		return first
	}
	return &net.TCPAddr{Port: first.Port}
}

// Close stops accepting; connections already passed on stay open.
func (l *tcpListener) Close() error {
	l.closing.Do(func() {
		close(l.done)
		for _, listener := range l.listeners {
			_ = listener.Close() // fails only when closed before
		}
		l.loops.Wait()
	})
	return nil
}

// countedConn gives its place back when it is closed.
type countedConn struct {
	net.Conn
	listener *tcpListener
	host     netip.Prefix
	close    sync.Once
}

// Close closes the connection.
func (c *countedConn) Close() error {
	err := net.ErrClosed
	c.close.Do(func() {
		c.listener.leave(c.host)
		err = c.Conn.Close()
	})
	return err
}
