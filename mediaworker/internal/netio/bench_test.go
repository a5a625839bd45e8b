package netio

import (
	"net"
	"net/netip"
	"testing"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// boundRoute is a mux without loops' interference: one agent with one remote.
func boundRoute(t testing.TB) (*socket, *handle, netip.AddrPort) {
	m := listen(t, Config{})
	h := getConn(t, m, "alice")
	s := m.sockets[0]
	remote := netip.MustParseAddrPort("127.0.0.1:9")
	s.bind(h.conn, remote, false)
	return s, h, remote
}

func TestReceiveAndDeliverAllocateNothing(t *testing.T) {
	s, h, remote := boundRoute(t)
	check, b := bindRequest(t, "alice:r"), make([]byte, packetSize)
	for name, datagram := range map[string][]byte{"media": []byte("\x80media"), "check": check} {
		if got := testing.AllocsPerRun(1000, func() {
			p := newPacket()
			p.from, p.n = remote, copy(p.data[:], datagram)
			if !s.route(p) {
				t.Fatal("not delivered")
			}
			if _, _, err := h.ReadFromAddrPort(b); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations per datagram", name, got)
		}
	}
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	from := client(t)
	for name, makeReader := range map[string]func(*net.UDPConn) (reader, error){
		"batch":  newReader,
		"single": func(c *net.UDPConn) (reader, error) { return singleReader{c}, nil },
	} {
		to := client(t)
		r, err := makeReader(to)
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]*packet, batchSize)
		for i := range batch {
			batch[i] = newPacket()
		}
		if got := testing.AllocsPerRun(100, func() {
			send(t, from, addressOf(to), []byte("\x80media"))
			n, err := r.read(batch)
			if err != nil || n != 1 || string(batch[0].bytes()) != "\x80media" || batch[0].from != addressOf(from) {
				t.Fatalf("%s: %d, %v, %q from %v", name, n, err, batch[0].bytes(), batch[0].from)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations per read", name, got)
		}
	}
	_, h, _ := boundRoute(t)
	to, media := addressOf(client(t)), []byte("\x80media")
	if got := testing.AllocsPerRun(100, func() {
		if _, err := h.WriteToAddrPort(media, to); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("%v allocations per write", got)
	}
}

// receiver is what the agents of both muxes read from.
type receiver interface {
	net.PacketConn
	ice.AddrPortReaderWriter
}

// benchmarkReceive measures socket → demultiplexer → agent's read: bursts are
// queued by the kernel, then read to the last datagram.
func benchmarkReceive(b *testing.B, to netip.AddrPort, conn receiver) {
	const burst = 32
	from := client(b)
	check := bindRequest(b, "alice:r")
	datagram := append([]byte{0x80}, make([]byte, 1199)...)
	buf := make([]byte, packetSize)
	send(b, from, to, check)
	_, remote, err := conn.ReadFromAddrPort(buf)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := conn.WriteToAddrPort([]byte("\x80"), remote); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			send(b, from, to, datagram)
		}
		for range burst {
			if _, _, err := conn.ReadFromAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*burst), "ns/datagram")
}

// BenchmarkReceive holds the Mux against pion's mux; both figures include the
// sender's system call.
func BenchmarkReceive(b *testing.B) {
	b.Run("netio", func(b *testing.B) {
		m := listen(b, Config{ReadBuffer: 1 << 20})
		benchmarkReceive(b, m.Addresses()[0], getConn(b, m, "alice"))
	})
	b.Run("pion", func(b *testing.B) {
		socket := client(b)
		_ = socket.SetReadBuffer(1 << 20)
		factory := logging.NewDefaultLoggerFactory()
		factory.DefaultLogLevel = logging.LogLevelDisabled
		m := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket, Logger: factory.NewLogger("ice")})
		defer func() { _ = m.Close() }()
		c, err := m.GetConn("alice", socket.LocalAddr())
		if err != nil {
			b.Fatal(err)
		}
		benchmarkReceive(b, addressOf(socket), c.(receiver))
	})
}

// BenchmarkReader compares the batch reader with one system call per datagram,
// with the datagrams queued in the socket.
func BenchmarkReader(b *testing.B) {
	for name, makeReader := range map[string]func(*net.UDPConn) (reader, error){
		"batch":  newReader,
		"single": func(c *net.UDPConn) (reader, error) { return singleReader{c}, nil },
	} {
		b.Run(name, func(b *testing.B) {
			from, to := client(b), client(b)
			_ = to.SetReadBuffer(1 << 20)
			r, err := makeReader(to)
			if err != nil {
				b.Fatal(err)
			}
			batch := make([]*packet, batchSize)
			for i := range batch {
				batch[i] = newPacket()
			}
			datagram := append([]byte{0x80}, make([]byte, 1199)...)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for range batchSize {
					send(b, from, addressOf(to), datagram)
				}
				b.StartTimer()
				for got := 0; got < batchSize; {
					n, err := r.read(batch)
					if err != nil {
						b.Fatal(err)
					}
					got += n
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batchSize), "ns/datagram")
		})
	}
}

// BenchmarkDemux measures the demultiplexer and the queue without the kernel.
func BenchmarkDemux(b *testing.B) {
	for name, datagram := range map[string][]byte{
		"media":    append([]byte{0x80}, make([]byte, 1199)...),
		"check":    bindRequest(b, "alice:r"),
		"stranger": bindRequest(b, "mallory:r"),
	} {
		b.Run(name, func(b *testing.B) {
			s, h, remote := boundRoute(b)
			buf := make([]byte, packetSize)
			p := newPacket()
			b.ReportAllocs()
			for b.Loop() {
				p.from, p.n = remote, copy(p.data[:], datagram)
				if s.route(p) {
					if _, _, err := h.ReadFromAddrPort(buf); err != nil {
						b.Fatal(err)
					}
					p = newPacket()
				}
			}
		})
	}
}
