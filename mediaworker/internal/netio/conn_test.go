package netio

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// loneConn is a conn with one open handle on a socket without a network.
func loneConn() (*conn, *handle) {
	s := &socket{mux: &Mux{}, remotes: map[netip.AddrPort]*conn{}}
	a := newAgent("u", new(Egress), 1)
	c := newConn(a, s)
	a.conns[0].Store(c)
	return c, c.open()
}

func packetOf(payload string) *packet {
	p := newPacket()
	p.n = copy(p.data[:], payload)
	p.from = netip.MustParseAddrPort("192.0.2.1:5000")
	return p
}

func TestConnKeepsOrderAndDropsTheOldest(t *testing.T) {
	c, h := loneConn()
	for i := range maxQueue + 3 {
		c.deliver(packetOf(string([]byte{byte(i >> 8), byte(i)})))
	}
	if got := c.agent.counters.dropped.Load(); got != 3 {
		t.Errorf("dropped %d, want 3", got)
	}
	b := make([]byte, 16)
	for i := 3; i < maxQueue+3; i++ {
		n, from, err := h.ReadFromAddrPort(b)
		if err != nil || n != 2 || int(b[0])<<8|int(b[1]) != i {
			t.Fatalf("read %d: %v %x %v", i, n, b[:n], err)
		}
		if from != netip.MustParseAddrPort("192.0.2.1:5000") {
			t.Fatalf("from %v", from)
		}
	}
}

func TestConnShortBuffer(t *testing.T) {
	c, h := loneConn()
	c.deliver(packetOf("too long"))
	c.deliver(packetOf("fits"))
	b := make([]byte, 4)
	if _, _, err := h.ReadFrom(b); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("err = %v, want io.ErrShortBuffer", err)
	}
	if n, _, err := h.ReadFrom(b); err != nil || string(b[:n]) != "fits" {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

func TestConnReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, h := loneConn()
		b := make([]byte, 16)
		if err := h.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if _, _, err := h.ReadFrom(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("err = %v", err)
		}
		if waited := time.Since(start); waited != time.Second {
			t.Errorf("waited %v, want 1s", waited)
		}
		if _, err := h.WriteToAddrPort(b, netip.MustParseAddrPort("192.0.2.1:5000")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		// A new deadline replaces it, also for a read that waits already.
		if err := h.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		result := make(chan error)
		go func() {
			_, _, err := h.ReadFrom(b)
			result <- err
		}()
		synctest.Wait()
		if err := h.SetReadDeadline(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		if err := h.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		c.deliver(packetOf("x"))
		if n, _, err := h.ReadFrom(b); n != 1 || err != nil {
			t.Errorf("read after deadline: %d, %v", n, err)
		}
	})
}

func TestConnClosesWithItsLastHandle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, first := loneConn()
		second := c.open()
		waiting := make(chan error)
		for _, h := range []*handle{first, second} {
			go func() {
				_, _, err := h.ReadFrom(make([]byte, 16))
				waiting <- err
			}()
		}
		synctest.Wait()
		if err := errors.Join(first.Close(), first.Close()); err != nil {
			t.Fatal(err)
		}
		if err := <-waiting; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read on a closed handle: %v", err)
		}
		c.deliver(packetOf("x")) // for the second
		if err := <-waiting; err != nil {
			t.Errorf("the other handle: %v", err)
		}
		if err := second.Close(); err != nil {
			t.Fatal(err)
		}
		if c.open() != nil {
			t.Error("a handle opened on a closed conn")
		}
		if c.agent.conns[0].Load() != nil {
			t.Error("the agent still has the closed conn")
		}
		if _, err := second.WriteTo(nil, &net.UDPAddr{}); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("write: %v", err)
		}
		if err := second.SetDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline: %v", err)
		}
		c.deliver(packetOf("late"))
		if got := c.agent.counters.dropped.Load(); got != 1 {
			t.Errorf("dropped %d, want 1", got)
		}
	})
}

func TestBindMovesAnAddressOnlyWhenAuthenticated(t *testing.T) {
	old, _ := loneConn()
	s := old.socket
	fresh := newConn(newAgent("v", new(Egress), 1), s)
	remote := netip.MustParseAddrPort("192.0.2.1:5000")

	s.bind(old, remote, false)
	s.bind(fresh, remote, false)
	if s.connOf(remote) != old {
		t.Fatal("an unauthenticated write took the address over")
	}
	if fresh.bound.Load() != nil {
		t.Fatal("the loser believes the address is its own")
	}
	s.bind(fresh, remote, true)
	if s.connOf(remote) != fresh || old.bound.Load() != nil || len(old.remotes) != 0 {
		t.Fatal("an authenticated write did not take the address over")
	}
	s.unbind(fresh)
	s.bind(fresh, remote, true)
	if len(s.remotes) != 0 {
		t.Fatal("a removed conn bound an address")
	}
}

func TestBindIsBounded(t *testing.T) {
	c, _ := loneConn()
	s := c.socket
	remote := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1+i))
	}
	for i := range 3 * maxRemotes {
		s.bind(c, remote(i), false)
	}
	if len(s.remotes) != maxRemotes || len(c.remotes) != maxRemotes {
		t.Fatalf("%d and %d addresses bound, want %d", len(s.remotes), len(c.remotes), maxRemotes)
	}
	if s.connOf(remote(0)) != nil || s.connOf(remote(3*maxRemotes-1)) != c {
		t.Error("not the oldest address was dropped")
	}
}
