package netio

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// writerKinds are the ways to send that the system has, by name: each makes a
// socket use it.
var writerKinds = map[string]func(testing.TB, *socket){
	"single": func(_ testing.TB, s *socket) { s.writer = singleWriter{s.conn} },
}

// receive reads one datagram.
func receive(t testing.TB, c *net.UDPConn) []byte {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 1<<16)
	n, _, err := c.ReadFromUDPAddrPort(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// rtpOf makes a datagram that looks like RTP, of a size and with a number.
func rtpOf(size, number int) []byte {
	b := make([]byte, size)
	b[0], b[1] = 0x80, 96
	binary.BigEndian.PutUint16(b[2:], uint16(number))
	return b
}

func write(t testing.TB, h *handle, b []byte, to netip.AddrPort) {
	t.Helper()
	if n, err := h.WriteToAddrPort(b, to); err != nil || n != len(b) {
		t.Fatalf("wrote %d of %d: %v", n, len(b), err)
	}
}

func (e *Egress) holding() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == nil {
		return 0
	}
	return e.held.count
}

// Every datagram of a burst arrives once, whole and in order, whatever its size
// and whatever else is written meanwhile.
func TestBurstArrivesWholeAndInOrder(t *testing.T) {
	rtcp, check := rtpOf(80, 0), bindRequest(t, "x:y")
	rtcp[1] = 206
	sized := func(sizes ...int) [][]byte {
		var all [][]byte
		for i, size := range sizes {
			all = append(all, rtpOf(size, i))
		}
		return all
	}
	cases := map[string]struct {
		datagrams [][]byte
		runs      int // messages where the kernel cuts up runs
	}{
		"nothing":             {},
		"one":                 {sized(1200), 1},
		"equal":               {sized(1200, 1200, 1200), 1},
		"last smaller":        {sized(1200, 1200, 300), 1},
		"one smaller between": {sized(1200, 300, 1200), 2},
		"last larger":         {sized(1199, 1199, 1200, 1200), 2},
		"shrinking":           {sized(1200, 1100, 1000, 900), 2},
		"growing":             {sized(900, 1000, 1100), 3},
		"full":                {sized(1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000), 1},
		"more than full":      {sized(500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500), 2},
		"too many bytes":      {sized(6000, 6000, 6000), 2},
		"larger than a batch": {sized(1200, maxRunBytes+1, 1200), 3},
		"RTCP":                {slices.Concat(sized(700, 700), [][]byte{rtcp}, sized(700, 700)), 3},
		"check":               {slices.Concat(sized(700, 700), [][]byte{check}, sized(700)), 3},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			for writers, use := range writerKinds {
				m := listen(t, Config{})
				use(t, m.sockets[0])
				h, to := getConn(t, m, "alice"), client(t)
				e := m.Egress("alice")
				e.Cork()
				for _, d := range tt.datagrams {
					write(t, h, d, addressOf(to))
				}
				if lost := e.Uncork(); lost != 0 || e.holding() != 0 {
					t.Errorf("%s: %d lost, %d held", writers, lost, e.holding())
				}
				for i, want := range tt.datagrams {
					if got := receive(t, to); !slices.Equal(got, want) {
						t.Fatalf("%s: datagram %d has %d bytes % x, want %d bytes % x", writers, i, len(got), got[:4], len(want), want[:4])
					}
				}
				want := len(tt.datagrams)
				if writers == "runs" {
					want = tt.runs
				}
				if s, _ := m.Stats("alice"); s.Sent != uint64(len(tt.datagrams)) || s.Messages != uint64(want) {
					t.Errorf("%s: %d datagrams in %d messages, want %d in %d", writers, s.Sent, s.Messages, len(tt.datagrams), want)
				}
			}
		})
	}
}

func TestOnlyRTPOfABurstIsHeld(t *testing.T) {
	m := listen(t, Config{})
	h, e := getConn(t, m, "alice"), m.Egress("alice")
	one, other := client(t), client(t)
	want := func(held int) {
		t.Helper()
		if got := e.holding(); got != held {
			t.Fatalf("%d datagrams held, want %d", got, held)
		}
	}
	write(t, h, rtpOf(100, 0), addressOf(one)) // no burst
	want(0)
	e.Cork()
	write(t, h, rtpOf(100, 1), addressOf(one))
	write(t, h, rtpOf(100, 2), addressOf(one))
	want(2)
	write(t, h, []byte("\x16\xfe\xfdDTLS"), addressOf(one))
	want(0)
	write(t, h, rtpOf(100, 3), addressOf(one))
	write(t, h, rtpOf(100, 4), addressOf(other))
	want(1) // for the new address
	e.Cork()
	write(t, h, rtpOf(100, 5), addressOf(other))
	want(2)
	e.Uncork()
	want(0)
	write(t, h, rtpOf(100, 6), addressOf(other))
	want(1) // the first burst is still under way
	for i := range maxRun - 1 {
		want(1 + i)
		write(t, h, rtpOf(100, 7), addressOf(other))
	}
	want(0)
	e.Uncork()
	write(t, h, rtpOf(100, 8), addressOf(other))
	want(0)
	if c := m.Counters(); c.Sent != 18 || c.WriteErrors != 0 {
		t.Errorf("counters: %+v", c)
	}
}

func TestBurstOverIPv6(t *testing.T) {
	to, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
	if err != nil {
		t.Fatal("the tests need an IPv6 loopback address: ", err)
	}
	t.Cleanup(func() { _ = to.Close() })
	m := listen(t, Config{UDP: []string{"[::1]:0"}})
	h, e := getConn(t, m, "alice"), m.Egress("alice")
	e.Cork()
	for i := range 3 {
		write(t, h, rtpOf(900, i), to.LocalAddr().(*net.UDPAddr).AddrPort())
	}
	e.Uncork()
	for i := range 3 {
		if got := receive(t, to); !slices.Equal(got, rtpOf(900, i)) {
			t.Errorf("datagram %d: %d bytes", i, len(got))
		}
	}
	v4 := addressOf(client(t))
	if _, err := h.WriteToAddrPort(rtpOf(100, 0), v4); err == nil {
		t.Error("wrote to an IPv4 address")
	}
	e.Cork()
	write(t, h, rtpOf(100, 0), v4)
	if lost := e.Uncork(); lost != 1 {
		t.Errorf("%d lost on the way to an IPv4 address, want 1", lost)
	}
}

// Bursts of several goroutines overlap, with checks in between.
func TestOverlappingBursts(t *testing.T) {
	const writers, bursts, burst = 4, 50, 7
	m := listen(t, Config{})
	h, e := getConn(t, m, "alice"), m.Egress("alice")
	to, check := client(t), bindRequest(t, "x:y")
	received := make([]chan struct{}, writers)
	for i := range received {
		received[i] = make(chan struct{}, 1)
	}
	var work sync.WaitGroup
	for i := range writers {
		work.Go(func() {
			for n := range bursts {
				e.Cork()
				for k := range burst {
					b := rtpOf(100+i, n*burst+k)
					b[8] = byte(i)
					if _, err := h.WriteToAddrPort(b, addressOf(to)); err != nil {
						t.Error(err)
					}
				}
				if lost := e.Uncork(); lost != 0 {
					t.Errorf("%d lost", lost)
				}
				if _, err := h.WriteToAddrPort(check, addressOf(to)); err != nil {
					t.Error(err)
				}
				<-received[i] // so that the receiver's buffer cannot overflow
			}
		})
	}
	next := make([]int, writers)
	for range writers * bursts * (burst + 1) {
		b := receive(t, to)
		if !isRTP(b) {
			continue
		}
		i := int(b[8])
		if n := int(binary.BigEndian.Uint16(b[2:])); n != next[i] || len(b) != 100+i {
			t.Fatalf("writer %d: datagram %d of %d bytes, want %d", i, n, len(b), next[i])
		}
		if next[i]++; next[i]%burst == 0 {
			received[i] <- struct{}{}
		}
	}
	work.Wait()
	if e.holding() != 0 {
		t.Error("something is held after the last burst")
	}
}

func TestCloseDuringABurst(t *testing.T) {
	for name, end := range map[string]struct {
		close func(*Mux, *handle)
		lost  int
	}{
		"handle": {func(_ *Mux, h *handle) { _ = h.Close() }, 0},
		"agent":  {func(m *Mux, _ *handle) { m.RemoveConnByUfrag("alice") }, 0},
		"mux":    {func(m *Mux, _ *handle) { _ = m.Close() }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m, to := listen(t, Config{}), client(t)
			h, e := getConn(t, m, "alice"), m.Egress("alice")
			e.Cork()
			write(t, h, rtpOf(100, 0), addressOf(to))
			write(t, h, rtpOf(100, 1), addressOf(to))
			end.close(m, h)
			if _, err := h.WriteToAddrPort(rtpOf(100, 2), addressOf(to)); err == nil {
				t.Error("wrote after closing")
			}
			if lost := e.Uncork(); lost != end.lost || e.holding() != 0 {
				t.Errorf("%d lost, want %d; %d held", lost, end.lost, e.holding())
			}
			for i := range 2 - end.lost {
				if got := receive(t, to); !slices.Equal(got, rtpOf(100, i)) {
					t.Errorf("datagram %d: %d bytes", i, len(got))
				}
			}
		})
	}
}

// pion removes its agent's ufrag and takes it anew when it restarts ICE.
func TestEgressOutlivesItsAgents(t *testing.T) {
	m, to := listen(t, Config{}), client(t)
	before := m.Egress("alice")
	first := getConn(t, m, "alice")
	m.RemoveConnByUfrag("alice")
	second := getConn(t, m, "alice")
	if first.conn.agent == second.conn.agent || second.conn.agent.egress != before || m.Egress("alice") != before {
		t.Error("the new agent has an egress of its own")
	}
	before.Cork()
	write(t, second, rtpOf(100, 0), addressOf(to))
	if before.holding() != 1 {
		t.Error("the new agent's packet is not held")
	}
	before.Uncork()

	getConn(t, m, "bob") // registered before its egress is asked for
	after := m.Egress("bob")
	if after == before || m.agent([]byte("bob")).egress != after {
		t.Error("an agent and its egress do not belong together")
	}
	before.Close()
	before.Close()
	after.Close()
	if len(m.egresses) != 0 {
		t.Errorf("%d egresses are left", len(m.egresses))
	}
	m.RemoveConnByUfrag("alice")
	if h := getConn(t, m, "alice"); h.conn.agent.egress == before {
		t.Error("a closed egress is used")
	}
}

// BenchmarkEgress is the cost of one 1200-byte datagram to its sender (who pays
// on loopback for the receiver's side of the kernel too), by the length of the
// burst and the way to send.
func BenchmarkEgress(b *testing.B) {
	for _, burst := range []int{1, 2, 4, 8} {
		for _, kind := range []string{"single", "batch", "runs"} {
			use, ok := writerKinds[kind]
			if !ok {
				continue
			}
			b.Run(fmt.Sprintf("burst=%d/%s", burst, kind), func(b *testing.B) {
				m := listen(b, Config{})
				use(b, m.sockets[0])
				benchmarkEgress(b, m, burst, kind != "single")
			})
		}
	}
}

func benchmarkEgress(b *testing.B, m *Mux, burst int, corked bool) {
	const each = batchSize // datagrams; then the receiver's buffer is emptied
	h, e, media := getConn(b, m, "alice"), m.Egress("alice"), rtpOf(1200, 0)
	to := client(b)
	_ = to.SetReadBuffer(1 << 20)
	drain, err := newReader(to)
	if err != nil {
		b.Fatal(err)
	}
	batch := make([]*packet, batchSize)
	for i := range batch {
		batch[i] = newPacket()
	}
	address := addressOf(to)
	b.ReportAllocs()
	for b.Loop() {
		for range each / burst {
			if corked && burst > 1 {
				e.Cork()
			}
			for range burst {
				if _, err := h.WriteToAddrPort(media, address); err != nil {
					b.Fatal(err)
				}
			}
			if corked && burst > 1 {
				e.Uncork()
			}
		}
		b.StopTimer()
		for got := 0; got < each; {
			n, err := drain.read(batch)
			if err != nil {
				b.Fatal(err)
			}
			got += n
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*each), "ns/datagram")
}
