package forward

import (
	"fmt"
	"testing"

	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/packet"
	"switchboard/shared/wire"
)

// sinkhole is a writer that costs nothing.
type sinkhole struct{ packets int }

func (s *sinkhole) WriteRTP(*rtp.Header, []byte) (int, error) { s.packets++; return 1, nil }

// stage is a publication without its goroutine, so that a burst is forwarded
// where it is measured.
type stage struct {
	t     testing.TB
	turn  *turn
	next  uint16
	raw   []byte
	sinks []*sinkhole
	lost  []uint16
}

func newStage(t testing.TB, subscribers int) *stage {
	p := newPublication(t, wire.Video)
	l := newEncoding(p, 0, "")
	p.layers.Store(&[]*encoding{l})
	p.version.Add(1)
	l.active.Store(true)
	ids := HeaderExtensions{"urn:ietf:params:rtp-hdrext:ssrc-audio-level": 1, URIMid: 4, "urn:3gpp:video-orientation": 9}
	l.bind(&track{stream: 1, codec: vp8, format: packet.VP8, extensions: ids, nack: true})
	s := &stage{t: t, turn: &turn{layer: l, taken: make(chan struct{})}}
	s.turn.guard = newGuard(s.turn)
	for range subscribers {
		sink := &sinkhole{}
		leg := newPeer(t)
		_, err := leg.Subscribe(p, SubscriptionConfig{
			Writer: sink, SSRC: 1, PayloadType: 120, RTXSSRC: 2, RTXPayloadType: 121, Mid: "s1",
			Extensions: HeaderExtensions{URIMid: 1, "urn:3gpp:video-orientation": 2, URITransportWide: 3},
		})
		if err != nil {
			t.Fatal(err)
		}
		leg.connected.Store(true)
		s.sinks = append(s.sinks, sink)
	}
	h := rtp.Header{Version: 2, PayloadType: 96, SSRC: 7}
	for id, value := range map[uint8]string{4: "0", 9: "\x01"} {
		if err := h.SetExtension(id, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := (&rtp.Packet{Header: h, Payload: append([]byte{0x90, 0x80, 0x81, 0x02, 0x00}, make([]byte, 1195)...)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	s.raw = raw
	return s
}

// forward takes in a burst and sends it to every subscriber.
func (s *stage) forward(burst int) {
	t := s.turn
	t.burst = t.burst[:0]
	for range burst {
		s.raw[2], s.raw[3] = byte(s.next>>8), byte(s.next)
		s.next++
		p, err := packet.Parse(s.raw, now())
		if err != nil {
			s.t.Fatal(err)
		}
		p.Stream = 1
		t.burst = append(t.burst, p)
	}
	t.next, t.flushBy = 0, now()+flushWithin
	t.burst, s.lost = t.layer.ingest(t.burst, s.lost[:0])
	t.layer.publication.arrived(t.layer, t.burst)
	t.outlets = *t.layer.publication.outlets.Load()
	t.send()
}

// The cost of one delivered packet, without SRTP and the socket: ns/packet.
func BenchmarkFanOut(b *testing.B) {
	for _, subscribers := range []int{1, 10, 50, 100} {
		for _, burst := range []int{1, 4} {
			b.Run(fmt.Sprintf("subscribers=%d/burst=%d", subscribers, burst), func(b *testing.B) {
				s := newStage(b, subscribers)
				for range 600 {
					s.forward(burst)
				}
				b.ReportAllocs()
				for b.Loop() {
					s.forward(burst)
				}
				delivered := float64(b.N) * float64(subscribers) * float64(burst)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/delivered, "ns/delivered")
			})
		}
	}
}

func BenchmarkResend(b *testing.B) {
	s := newStage(b, 1)
	for range 600 {
		s.forward(1)
	}
	t := (*s.turn.layer.publication.outlets.Load())[0].sink.(*tap)
	last := t.subscription.egress.munger.Next() - 1
	wanted := []uint16{last}
	b.ReportAllocs()
	for b.Loop() {
		t.subscription.resend(wanted)
	}
}

// Memory of one subscription beside its PeerConnection: B/op, with its outgoing
// SSRC's numbers and its place in the publication.
func BenchmarkSubscribe(b *testing.B) {
	p := newPublication(b, wire.Video)
	leg := newPeer(b)
	ids := HeaderExtensions{URIMid: 1, "urn:3gpp:video-orientation": 2, URITransportWide: 3}
	b.ReportAllocs()
	ssrc := uint32(0)
	for b.Loop() {
		ssrc++
		s, err := leg.Subscribe(p, SubscriptionConfig{Writer: &sinkhole{}, SSRC: ssrc, PayloadType: 120, Mid: "s1", Extensions: ids})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
