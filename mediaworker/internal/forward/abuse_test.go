package forward

import (
	"io"
	"testing"

	"github.com/pion/rtcp"

	"switchboard/shared/wire"
)

// A subscriber that asks for everything again and again must not get more than
// twice the stream.
func TestResendsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Video), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, leg, p, SubscriptionConfig{RTXSSRC: 2000, RTXPayloadType: 121})
		const packets = 100
		for i := range packets {
			cam.frame(i == 0)
		}
		settle()
		var all []uint16
		for _, sent := range v.take() {
			all = append(all, sent.SequenceNumber)
		}
		for range 50 {
			leg.hear(t, nackFor(1000, all...))
		}
		if got := len(v.take()); got != packets {
			t.Errorf("%d packets were sent again, want %d", got, packets)
		}
		cam.frame(false)
		settle()
		leg.hear(t, nackFor(1000, all...))
		if got := len(v.take()); got != 2 {
			t.Errorf("%d packets after one more, want it and one sent again", got)
		}
	})
}

// pion hands a packet to the buffer of every SSRC that it names; one of them has
// to handle it.
func TestFirstNamed(t *testing.T) {
	blocks := []rtcp.ReceptionReport{{SSRC: 11}, {SSRC: 12}}
	for _, p := range []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 1}, &rtcp.SenderReport{SSRC: 1, Reports: blocks},
		&rtcp.ReceiverReport{SSRC: 1}, &rtcp.ReceiverReport{SSRC: 1, Reports: blocks},
		&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 2, Nacks: []rtcp.NackPair{{PacketID: 3}}},
		&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 2},
		&rtcp.FullIntraRequest{SenderSSRC: 1, MediaSSRC: 2, FIR: []rtcp.FIREntry{{SSRC: 3}, {SSRC: 4}}},
		&rtcp.TransportLayerCC{SenderSSRC: 1, MediaSSRC: 2, PacketStatusCount: 1,
			Header:       rtcp.Header{Padding: true, Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5},
			PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{RunLength: 1}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 1000, SSRCs: []uint32{5, 6}},
	} {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, ok := firstNamed(b)
		want := p.DestinationSSRC()
		if ok != (len(want) > 0) || ok && got != want[0] {
			t.Errorf("%T names %d, %t first; want %v", p, got, ok, want)
		}
		for n := range b {
			firstNamed(b[:n]) // must not read beyond
		}
	}
	for _, p := range []rtcp.Packet{&rtcp.Goodbye{Sources: []uint32{1}}, rtcp.NewCNAMESourceDescription(1, "x")} {
		b, err := p.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if ssrc, ok := firstNamed(b); ok {
			t.Errorf("%T is handled for %d", p, ssrc)
		}
	}
}

// RTCP that names hundreds of SSRCs is read once.
func BenchmarkKeyframeRequestForMany(b *testing.B) {
	leg := NewLeg(LegConfig{})
	defer leg.Close()
	fir := &rtcp.FullIntraRequest{}
	var buffers []io.Writer
	for i := range uint32(200) {
		fir.FIR = append(fir.FIR, rtcp.FIREntry{SSRC: i})
		buffers = append(buffers, leg.Buffer(i, true))
	}
	raw, err := fir.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, buffer := range buffers {
			_, _ = buffer.Write(raw)
		}
	}
}

// A defect met in a publisher's packets costs these packets and is told.
func TestPanicOverPackets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []any
		p := NewPublication(PublicationConfig{Kind: wire.Video, Panicked: func(value any) { told = append(told, value) }})
		defer p.Close()
		publisher, leg := newPeer(t), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, leg, p, SubscriptionConfig{})
		cam.frame(true)
		settle()
		l := p.at(0)
		cache := l.cache
		l.mu.Lock()
		l.cache = nil
		l.mu.Unlock()
		cam.frame(false)
		settle()
		l.mu.Lock()
		l.cache = cache
		l.mu.Unlock()
		cam.frame(false)
		settle()
		if got := len(v.take()); got != 2 || len(told) != 1 || p.Dropped() != 1 {
			t.Errorf("%d packets forwarded, %d panics told, %d packets lost; want 2, 1 and 1", got, len(told), p.Dropped())
		}
	})
}

func TestRetiredNumbersAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		leg, p := newPeer(t), newPublication(t, wire.Video)
		for i := range uint32(100) {
			s, _ := subscribe(t, leg, p, SubscriptionConfig{SSRC: 1000 + i})
			s.Close()
			leg.Retire(1000 + i)
		}
		if n := len(leg.egresses); n != 0 {
			t.Errorf("the numbers of %d SSRCs are kept", n)
		}
	})
}
