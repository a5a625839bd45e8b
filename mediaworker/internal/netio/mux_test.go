package netio

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen opens a Mux on free loopback ports and closes it with the test.
func listen(t testing.TB, cfg Config) *Mux {
	t.Helper()
	if len(cfg.UDP) == 0 {
		cfg.UDP = []string{"127.0.0.1:0"}
	}
	m, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// client is a UDP socket that talks to a Mux.
func client(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t testing.TB, from *net.UDPConn, to netip.AddrPort, datagram []byte) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort(datagram, to); err != nil {
		t.Fatal(err)
	}
}

func getConn(t testing.TB, m *Mux, ufrag string) *handle {
	t.Helper()
	c, err := m.GetConn(ufrag, m.GetListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*handle)
}

// eventually waits for a figure that the loops make.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 5 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func wantRead(t testing.TB, h *handle, want string) netip.AddrPort {
	t.Helper()
	if err := h.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, packetSize)
	n, from, err := h.ReadFromAddrPort(b)
	if err != nil || string(b[:n]) != want {
		t.Fatalf("read %q, %v; want %q", b[:n], err, want)
	}
	return from
}

func wantEmpty(t testing.TB, h *handle) {
	t.Helper()
	h.conn.mu.Lock()
	defer h.conn.mu.Unlock()
	if h.conn.count != 0 {
		t.Fatalf("%d datagrams queued, want none", h.conn.count)
	}
}

func TestMuxDemultiplexes(t *testing.T) {
	m := listen(t, Config{})
	to := m.Addresses()[0]
	alice, bob, stranger := getConn(t, m, "alice"), getConn(t, m, "bob"), client(t)
	fromAlice, fromBob := client(t), client(t)

	checkA, checkB := bindRequest(t, "alice:r"), bindRequest(t, "bob:r")
	send(t, fromAlice, to, checkA)
	send(t, fromBob, to, checkB)
	addressA, addressB := wantRead(t, alice, string(checkA)), wantRead(t, bob, string(checkB))

	// Until its agent answers, an address is nobody's.
	send(t, fromAlice, to, []byte("\x16\xfe\xfdtoo early"))
	eventually(t, "unknown address counted", func() bool { return m.Counters().UnknownAddress == 1 })

	for h, address := range map[*handle]netip.AddrPort{alice: addressA, bob: addressB} {
		if _, err := h.WriteToAddrPort([]byte("\x16\xfe\xfdhello"), address); err != nil {
			t.Fatal(err)
		}
	}
	send(t, fromAlice, to, []byte("\x16\xfe\xfdA"))
	send(t, fromBob, to, []byte("\x80media of B"))
	wantRead(t, alice, "\x16\xfe\xfdA")
	wantRead(t, bob, "\x80media of B")

	for _, noise := range []string{"\x80x", "\x40turn channel", "GET / HTTP/1.0", "\x00\x01short", "\xff", ""} {
		send(t, stranger, to, []byte(noise))
	}
	send(t, stranger, to, make([]byte, packetSize+10))
	send(t, stranger, to, bindRequest(t, "carol:r"))
	eventually(t, "noise counted", func() bool {
		c := m.Counters()
		return c.UnknownAddress == 2 && c.Malformed == 5 && c.Oversized == 1 && c.UnknownUfrag == 1
	})
	if got := len(m.sockets[0].remotes); got != 2 {
		t.Errorf("%d addresses bound, want 2", got)
	}
	stats, ok := m.Stats("alice")
	if !ok || stats.STUNRequests != 1 || stats.DTLSPackets != 1 || stats.Sent != 1 || stats.FirstArrival.IsZero() {
		t.Errorf("stats of alice: %+v, %v", stats, ok)
	}
	if stats, _ := m.Stats("bob"); stats.MediaPackets != 1 {
		t.Errorf("stats of bob: %+v", stats)
	}
	if c := m.Counters(); c.Received != 13 || c.STUNRequests != 2 || c.Sent != 2 || c.FirstArrival.IsZero() {
		t.Errorf("counters: %+v", c)
	}
}

func TestMuxMovesAnAddressToTheAgentThatAnswers(t *testing.T) {
	m := listen(t, Config{})
	to := m.Addresses()[0]
	old, fresh, browser := getConn(t, m, "old"), getConn(t, m, "fresh"), client(t)
	answer := bindRequest(t, "x:y")
	answer[0], answer[1] = stunBindSuccess>>8, stunBindSuccess&0xff

	check := bindRequest(t, "old:r")
	send(t, browser, to, check)
	remote := wantRead(t, old, string(check))
	if _, err := old.WriteToAddrPort(answer, remote); err != nil {
		t.Fatal(err)
	}
	// A check for the other agent goes there, but the address stays.
	check = bindRequest(t, "fresh:r")
	send(t, browser, to, check)
	wantRead(t, fresh, string(check))
	send(t, browser, to, []byte("\x80one"))
	wantRead(t, old, "\x80one")
	if _, err := fresh.WriteToAddrPort([]byte("\x80not an answer"), remote); err != nil {
		t.Fatal(err)
	}
	send(t, browser, to, []byte("\x80two"))
	wantRead(t, old, "\x80two")
	// It moves with the answer, and the old agent cannot take it back by writing.
	if _, err := fresh.WriteToAddrPort(answer, remote); err != nil {
		t.Fatal(err)
	}
	if _, err := old.WriteToAddrPort([]byte("\x80media"), remote); err != nil {
		t.Fatal(err)
	}
	send(t, browser, to, []byte("\x80three"))
	wantRead(t, fresh, "\x80three")
	wantEmpty(t, old)

	m.RemoveConnByUfrag("fresh")
	if got := len(m.sockets[0].remotes); got != 0 {
		t.Errorf("%d addresses bound after removal", got)
	}
	if stats, ok := m.Stats("fresh"); !ok || stats.MediaPackets != 1 {
		t.Errorf("stats after removal: %+v, %v", stats, ok)
	}
	if _, _, err := fresh.ReadFromAddrPort(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after removal: %v", err)
	}
	send(t, browser, to, bindRequest(t, "fresh:r"))
	eventually(t, "check for a removed agent counted", func() bool { return m.Counters().UnknownUfrag == 1 })
}

func TestHoldKeepsTheNewestChecks(t *testing.T) {
	m := listen(t, Config{})
	to := m.Addresses()[0]
	m.Hold("alice") // before the agent gathers
	clients := make([]*net.UDPConn, maxHeld+2)
	for i := range clients {
		clients[i] = client(t)
		send(t, clients[i], to, bindRequest(t, "alice:r"))
		eventually(t, "check held", func() bool { s, _ := m.Stats("alice"); return s.Held == uint64(i+1) })
	}
	latest := bindRequest(t, "alice:again")
	send(t, clients[4], to, latest)
	eventually(t, "check held", func() bool { s, _ := m.Stats("alice"); return s.Held == maxHeld+3 })
	alice := getConn(t, m, "alice")
	wantEmpty(t, alice)

	m.Release("alice")
	var order []netip.AddrPort
	b := make([]byte, packetSize)
	for range maxHeld {
		n, from, err := alice.ReadFromAddrPort(b)
		if err != nil {
			t.Fatal(err)
		}
		if from == addressOf(clients[4]) && string(b[:n]) != string(latest) {
			t.Error("an older check of the same source was kept")
		}
		order = append(order, from)
	}
	want := []int{2, 3, 5, 6, 7, 8, 9, 4}
	for i, w := range want {
		if order[i] != addressOf(clients[w]) {
			t.Errorf("check %d came from %v, want client %d", i, order[i], w)
		}
	}
	wantEmpty(t, alice)
	check := bindRequest(t, "alice:direct")
	send(t, clients[0], to, check)
	wantRead(t, alice, string(check))
}

func addressOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func TestReleaseDropsOldChecks(t *testing.T) {
	c, h := loneConn()
	a := c.agent
	a.startHolding()
	a.check(c.socket, packetOf("old"))
	a.held[0].arrived = time.Now().Add(-2 * maxHeldAge)
	fresh := packetOf("fresh")
	fresh.from = netip.MustParseAddrPort("192.0.2.2:1")
	a.check(c.socket, fresh)
	a.release()
	wantRead(t, h, "fresh")
	wantEmpty(t, h)
	if got := a.counters.dropped.Load(); got != 1 {
		t.Errorf("dropped %d, want 1", got)
	}
}

func TestRemoveEndsHolding(t *testing.T) {
	m := listen(t, Config{})
	m.Hold("alice")
	send(t, client(t), m.Addresses()[0], bindRequest(t, "alice:r"))
	eventually(t, "check held", func() bool { s, _ := m.Stats("alice"); return s.Held == 1 })
	m.RemoveConnByUfrag("alice")
	m.Release("alice")
	if len(m.agents) != 0 {
		t.Error("the removed agent is still registered")
	}
}

func TestStatsForgetTheOldest(t *testing.T) {
	m := listen(t, Config{})
	for i := range maxEnded + 1 {
		ufrag := "u" + strings.Repeat("x", i%100) + string(rune('a'+i/100))
		m.Hold(ufrag)
		m.RemoveConnByUfrag(ufrag)
	}
	if len(m.ended) != maxEnded {
		t.Errorf("%d remembered, want %d", len(m.ended), maxEnded)
	}
	if _, ok := m.Stats("ua"); ok {
		t.Error("the oldest is still remembered")
	}
}

func TestClosedMux(t *testing.T) {
	m := listen(t, Config{TCP: true})
	alice := getConn(t, m, "alice")
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.GetConn("bob", m.GetListenAddresses()[0]); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("GetConn: %v", err)
	}
	if _, _, err := alice.ReadFrom(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	m.Hold("carol")
	m.Release("carol")
	m.RemoveConnByUfrag("alice")
}

func TestGetConnRefuses(t *testing.T) {
	m := listen(t, Config{})
	for _, addr := range []net.Addr{&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, &net.TCPAddr{}} {
		if _, err := m.GetConn("u", addr); err == nil {
			t.Errorf("%v accepted", addr)
		}
	}
	if _, err := m.GetConn("", m.GetListenAddresses()[0]); err == nil {
		t.Error("empty ufrag accepted")
	}
	if _, err := m.GetConn(strings.Repeat("u", maxUfrag+1), m.GetListenAddresses()[0]); err == nil {
		t.Error("overlong ufrag accepted")
	}
}

// Strangers who never pass an ICE check leave no state, whatever they send.
func TestStrangersLeaveNoState(t *testing.T) {
	m := listen(t, Config{})
	s := m.sockets[0]
	alice := getConn(t, m, "alice")
	p := newPacket()
	for i := range 10_000 {
		p.from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 9)
		p.n = copy(p.data[:], bindRequest(t, "mallory:r"))
		if s.route(p) {
			t.Fatal("a stranger's check was delivered")
		}
		p.n = copy(p.data[:], "\x80media")
		if s.route(p) {
			t.Fatal("a stranger's media was delivered")
		}
		p.n = copy(p.data[:], bindRequest(t, "alice:r"))
		if s.route(p) {
			p = newPacket()
		}
	}
	if len(s.remotes) != 0 || len(m.agents) != 1 {
		t.Errorf("%d addresses and %d agents, want 0 and 1", len(s.remotes), len(m.agents))
	}
	if got := alice.conn.count; got != maxQueue {
		t.Errorf("%d datagrams queued, want the bound, %d", got, maxQueue)
	}
}

// A defect in the handling of one datagram must not end the worker.
func TestReadLoopOutlivesAPanic(t *testing.T) {
	broken, batch := &socket{}, []*packet{newPacket(), newPacket()} // without a mux it panics
	for _, p := range batch {
		p.n = copy(p.data[:], bindRequest(t, "alice:r"))
	}
	first := batch[0]
	broken.routeAll(batch)
	if got := broken.counters.malformed.Load(); got != 1 || batch[0] == first {
		t.Errorf("%d counted, packet replaced %t; want 1 and true", got, batch[0] != first)
	}
}
