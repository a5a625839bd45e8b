package forward

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"switchboard/shared/wire"
)

func nackFor(ssrc uint32, sequences ...uint16) *rtcp.TransportLayerNack {
	return &rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(sequences)}
}

func TestResendThroughRTX(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Video), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, leg, p, SubscriptionConfig{
			RTXSSRC: 2000, RTXPayloadType: 121,
			Extensions: HeaderExtensions{URITransportWide: 3},
		})
		for i := range 20 {
			cam.frame(i == 0 || i == 10)
		}
		settle()
		sent := v.take()
		leg.hear(t, nackFor(1000, sent[3].SequenceNumber, sent[12].SequenceNumber, sent[19].SequenceNumber+1))
		got := v.take()
		if len(got) != 2 {
			t.Fatalf("%d packets were sent again, want 2", len(got))
		}
		for i, original := range []rtp.Packet{sent[3], sent[12]} {
			h := got[i].Header
			if h.SSRC != 2000 || h.PayloadType != 121 || h.Timestamp != original.Timestamp || h.Marker != original.Marker {
				t.Errorf("retransmission has header %+v", h)
			}
			if osn := binary.BigEndian.Uint16(got[i].Payload); osn != original.SequenceNumber {
				t.Errorf("original number %d, want %d", osn, original.SequenceNumber)
			}
			if !bytes.Equal(got[i].Payload[2:], original.Payload) {
				t.Error("payload differs")
			}
			if slices.Equal(h.GetExtension(3), original.GetExtension(3)) {
				t.Error("a packet of its own needs a transport-wide number of its own")
			}
		}
		if got[1].SequenceNumber != got[0].SequenceNumber+1 || got[0].SequenceNumber >= 1<<15 {
			t.Errorf("retransmissions are numbered %d, %d", got[0].SequenceNumber, got[1].SequenceNumber)
		}
	})
}

func TestResendWithoutRTXIsIdentical(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Video), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, leg, p, SubscriptionConfig{
			Mid: "s1", Extensions: HeaderExtensions{URITransportWide: 3, URIAbsSendTime: 2, URIMid: 1},
		})
		for i := range 300 {
			cam.frame(i == 0)
			pass(time.Millisecond)
		}
		sent := v.take()
		leg.hear(t, nackFor(1000, sent[290].SequenceNumber, sent[10].SequenceNumber))
		got := v.take()
		if len(got) != 1 {
			t.Fatalf("%d packets were sent again, want only the one whose stamp is kept", len(got))
		}
		if diff := cmp.Diff(marshal(t, sent[290]), marshal(t, got[0])); diff != "" {
			t.Errorf("the same number was sent with another content: %s", diff)
		}
	})
}

func marshal(t *testing.T, p rtp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLostPacketIsAskedForOnceAndSentToAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, RTXSSRC: 8, Codec: vp8})
		var legs []*peer
		var viewers []*viewer
		for range 10 {
			leg := newPeer(t)
			_, v := subscribe(t, leg, p, SubscriptionConfig{})
			legs, viewers = append(legs, leg), append(viewers, v)
		}
		cam.frame(true)
		lost, payload := cam.next(false)
		for range 5 {
			cam.frame(false)
		}
		settle()
		missing := make([]uint16, len(viewers))
		for i, v := range viewers {
			got := v.take()
			missing[i] = got[0].SequenceNumber + 1
			if len(got) != 6 || got[1].SequenceNumber != missing[i]+1 {
				t.Fatalf("viewer %d got %d packets", i, len(got))
			}
			legs[i].hear(t, nackFor(1000, missing[i]))
		}
		settle()
		nacks := written[*rtcp.TransportLayerNack](publisher)
		if len(nacks) != 1 || nacks[0].MediaSSRC != 7 || !slices.Equal(nacks[0].Nacks[0].PacketList(), []uint16{lost.SequenceNumber}) {
			t.Fatalf("asked with %v, want once for %d", nacks, lost.SequenceNumber)
		}
		// It comes as a retransmission.
		h := lost
		h.SSRC, h.PayloadType, h.SequenceNumber = 8, 97, 500
		cam.write(h, append(binary.BigEndian.AppendUint16(nil, lost.SequenceNumber), payload...))
		h.SequenceNumber++
		h.Padding, h.PaddingSize = true, 50
		cam.write(h, nil) // a probe
		settle()
		for i, v := range viewers {
			got := v.take()
			if len(got) != 1 || got[0].SequenceNumber != missing[i] || !bytes.Equal(got[0].Payload[4:], payload[4:]) {
				t.Errorf("viewer %d got %d packets of the retransmission", i, len(got))
			}
		}
		cam.write(lost, payload) // the original after all
		pass(5 * time.Second)
		if got := written[*rtcp.TransportLayerNack](publisher); len(got) != 0 {
			t.Error("asked again for a packet that was recovered")
		}
		if got := viewers[0].take(); len(got) != 0 {
			t.Error("a packet was forwarded twice")
		}
		if got := p.Usage().IngressPackets; got != 9 {
			t.Errorf("counted %d packets, want all 9", got)
		}
	})
}

func TestNACKsAreRepeatedAndGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		cam.frame(true)
		cam.next(false)
		cam.frame(false)
		pass(10 * time.Second)
		if got := len(written[*rtcp.TransportLayerNack](publisher)); got != 10 {
			t.Errorf("asked %d times, want 10", got)
		}
		audio, q := newPeer(t), newPublication(t, wire.Audio)
		mic := newCamera(t, audio.Leg, 7, 111, 1)
		bind(t, audio, q, Stream{SSRC: 7, Codec: opus, NoNACK: true})
		mic.frame(false)
		mic.next(false)
		mic.frame(false)
		pass(10 * time.Second)
		if got := len(written[*rtcp.TransportLayerNack](audio)); got != 0 {
			t.Errorf("asked %d times a publisher that did not negotiate it", got)
		}
	})
}

// Browsers name the stream that a retransmission belongs to by its repaired
// stream id alone; it may arrive before or after the stream is bound.
func TestRetransmissionsByRepairedID(t *testing.T) {
	for _, early := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			publisher, p, q := newPeer(t), newPublication(t, wire.Video), newPublication(t, wire.Video)
			ids := HeaderExtensions{URIMid: 1, URIStreamID: 2, URIRepairedID: 3}
			cam := newCamera(t, publisher.Leg, 7, 96, 100)
			repair := func() {
				h, payload := cam.next(true)
				osn := h.SequenceNumber
				h.SSRC, h.PayloadType = 8, 97
				for id, value := range map[uint8]string{1: "0", 3: "f"} {
					if err := h.SetExtension(id, []byte(value)); err != nil {
						t.Fatal(err)
					}
				}
				cam.write(h, append(binary.BigEndian.AppendUint16(nil, osn), payload...))
			}
			if early {
				repair()
			}
			bind(t, publisher, q, Stream{SSRC: 6, Mid: "1", RID: "f", Codec: vp8, Extensions: ids})
			bind(t, publisher, p, Stream{SSRC: 7, Mid: "0", RID: "f", Codec: vp8, Extensions: ids})
			if !early {
				repair()
			}
			repair()
			settle()
			if got := p.Usage().IngressPackets; got == 0 || q.Usage().IngressPackets != 0 {
				t.Errorf("early %v: retransmissions reached the wrong publication", early)
			}
			if l := p.at(0); l.cache.Bytes() == 0 {
				t.Errorf("early %v: nothing was restored", early)
			}
		})
	}
}
