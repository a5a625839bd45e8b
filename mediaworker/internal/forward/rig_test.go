package forward

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"go.uber.org/goleak"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	vp8  = Codec{MimeType: "video/VP8", ClockRate: 90000, PayloadType: 96, RTXPayloadType: 97}
	opus = Codec{MimeType: "audio/opus", ClockRate: 48000, Channels: 2, PayloadType: 111}
)

// peer is a leg and what it wrote.
type peer struct {
	*Leg
	mu   sync.Mutex
	sent []rtcp.Packet
}

func newPeer(t testing.TB) *peer {
	p := &peer{}
	p.Leg = NewLeg(LegConfig{CNAME: "sfu", WriteRTCP: func(packets []rtcp.Packet) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, packets...)
		return nil
	}})
	t.Cleanup(p.Close)
	return p
}

// written returns and forgets the RTCP of one type that was written.
func written[T rtcp.Packet](p *peer) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []T
	p.sent = slices.DeleteFunc(p.sent, func(packet rtcp.Packet) bool {
		typed, ok := packet.(T)
		if ok {
			found = append(found, typed)
		}
		return ok
	})
	return found
}

// hear delivers RTCP as pion's SRTCP session does: each packet to the buffer of
// every SSRC that it names.
func (p *peer) hear(t testing.TB, packets ...rtcp.Packet) {
	t.Helper()
	for _, packet := range packets {
		b, err := packet.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for _, ssrc := range packet.DestinationSSRC() {
			if _, err := p.Buffer(ssrc, true).Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func newPublication(t testing.TB, kind wire.Kind) *Publication {
	p := NewPublication(PublicationConfig{App: "app", Key: ids.TrackKey{Session: "s", Track: "t"}, Kind: kind})
	t.Cleanup(p.Close)
	return p
}

// camera sends one stream into a leg.
type camera struct {
	t       testing.TB
	leg     *Leg
	header  rtp.Header
	picture uint16
}

func newCamera(t testing.TB, leg *Leg, ssrc uint32, pt uint8, first uint16) *camera {
	return &camera{t: t, leg: leg, header: rtp.Header{Version: 2, SSRC: ssrc, PayloadType: pt, SequenceNumber: first - 1}}
}

func (c *camera) write(h rtp.Header, payload []byte) {
	c.t.Helper()
	b, err := (&rtp.Packet{Header: h, Payload: payload}).Marshal()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.leg.Buffer(h.SSRC, false).Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next makes the next packet, a whole frame, without sending it.
func (c *camera) next(key bool) (rtp.Header, []byte) {
	c.header.SequenceNumber++
	c.header.Timestamp += 3000
	c.header.Marker = true
	c.picture = (c.picture + 1) & 0x7fff
	payload := []byte{0x90, 0xc0, 0, 0, byte(c.picture), 1, 'm', 'e', 'd', 'i', 'a'}
	binary.BigEndian.PutUint16(payload[2:], c.picture|0x8000)
	if key {
		payload[5] = 0
	}
	return c.header, payload
}

func (c *camera) frame(key bool) {
	c.t.Helper()
	h, payload := c.next(key)
	c.write(h, payload)
}

// viewer records what a subscription writes.
type viewer struct {
	mu      sync.Mutex
	packets []rtp.Packet
	write   func() // called before each write, may block or panic
}

func (v *viewer) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	if v.write != nil {
		v.write()
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.packets = append(v.packets, rtp.Packet{Header: h.Clone(), Payload: slices.Clone(payload)})
	return 1, nil
}

// take returns and forgets what was written.
func (v *viewer) take() []rtp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	packets := v.packets
	v.packets = nil
	return packets
}

func subscribe(t testing.TB, leg *peer, p *Publication, cfg SubscriptionConfig) (*Subscription, *viewer) {
	t.Helper()
	v := &viewer{}
	cfg.Writer = v
	if cfg.PayloadType == 0 {
		cfg.PayloadType = 120
	}
	if cfg.SSRC == 0 {
		cfg.SSRC = 1000
	}
	s, err := leg.Subscribe(p, cfg)
	if err != nil {
		t.Fatal(err)
	}
	leg.Connected()
	return s, v
}

func bind(t testing.TB, leg *peer, p *Publication, s Stream) {
	t.Helper()
	if err := leg.Bind(p, s); err != nil {
		t.Fatal(err)
	}
}

// bubble runs a test with a clock of its own; at the end every goroutine has to
// be gone.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	outside := epoch
	defer func() { epoch = outside }()
	synctest.Test(t, func(t *testing.T) {
		epoch = time.Now()
		f(t)
	})
}

func settle() { synctest.Wait() }

func pass(d time.Duration) {
	time.Sleep(d) // of the bubble's clock: returns at once
	synctest.Wait()
}

// continuous fails unless the packets' numbers follow one another.
func continuous(t testing.TB, packets []rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		a, b := packets[i-1].Header, packets[i].Header
		if b.SequenceNumber != a.SequenceNumber+1 {
			t.Errorf("packet %d has number %d after %d", i, b.SequenceNumber, a.SequenceNumber)
		}
		if int32(b.Timestamp-a.Timestamp) < 0 {
			t.Errorf("packet %d has timestamp %d after %d", i, b.Timestamp, a.Timestamp)
		}
		if p, q := packets[i-1].Payload, packets[i].Payload; len(p) > 5 && len(q) > 5 && p[0] == 0x90 {
			was, is := binary.BigEndian.Uint16(p[2:])&0x7fff, binary.BigEndian.Uint16(q[2:])&0x7fff
			if is != (was+1)&0x7fff {
				t.Errorf("packet %d has picture %d after %d", i, is, was)
			}
		}
	}
}
