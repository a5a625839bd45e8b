package peer

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/transport/v4/packetio"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

func TestBuffersAreBounded(t *testing.T) {
	for _, kind := range []packetio.BufferPacketType{packetio.RTPBufferPacket, packetio.RTCPBufferPacket} {
		leg, floods := forward.NewLeg(forward.LegConfig{}), 0
		d := newDemux(leg, func() { floods++ })
		// Streams that come and go count no longer.
		for i := range uint32(2 * maxBuffers) {
			b := d.buffer(kind, i)
			for range 2 { // pion closes some streams twice
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range uint32(maxBuffers) {
			d.buffer(kind, i)
		}
		if floods != 0 || d.open != maxBuffers {
			t.Fatalf("%d buffers, %d floods; want %d and none", d.open, floods, maxBuffers)
		}
		extra := d.buffer(kind, maxBuffers)
		if n, err := extra.Write(make([]byte, 100)); floods != 1 || n != 100 || err != nil {
			t.Errorf("%d floods; a write to the buffer too many: %d, %v", floods, n, err)
		}
		if len(d.streams) > maxBuffers {
			t.Errorf("%d streams are kept", len(d.streams))
		}
		leg.Close()
	}
}

func TestOfferHasRoomForSoMany(t *testing.T) {
	p := newPeer(t)
	pull := Section{Kind: wire.Video, Want: Want{Send: &Outgoing{Kind: wire.Video, Stream: "s", Track: "t", Codec: film}}}
	many := make([]Section, maxOffered+1)
	for i := range many {
		many[i] = pull
	}
	if _, _, err := p.Offer(many, map[string]Want{}, counter()); !errors.Is(err, ErrFull) || p.Offering() {
		t.Fatalf("%v, offering %t; want ErrFull and no offer", err, p.Offering())
	}
	// A publisher's format may be as long as a line can be.
	pull.Want.Send.Codec.Fmtp += ";x=" + strings.Repeat("x", sdpx.MaxLine-200)
	for i := range many {
		many[i] = pull
	}
	if _, _, err := p.Offer(many[:80], map[string]Want{}, counter()); !errors.Is(err, ErrFull) || p.Offering() {
		t.Fatalf("%v, offering %t; want ErrFull and no offer", err, p.Offering())
	}
	text, mids, err := p.Offer(many[:2], map[string]Want{}, counter())
	if parse(t, text, err); len(mids) != 2 {
		t.Errorf("the next offer has %v", mids)
	}
}

func TestAnswerHasRoomForSoMany(t *testing.T) {
	p := newPeer(t)
	for i := range maxLines {
		name := fmt.Sprint("left", i)
		p.lines[name] = &line{name: name, kind: sdpx.Video}
	}
	if _, err := p.Answer(description(t, "actpass", media("audio", "a", "sendonly", "111", opus...)), nil); !errors.Is(err, ErrFull) || p.Negotiated() {
		t.Errorf("%v, negotiated %t; want ErrFull and nothing done", err, p.Negotiated())
	}
}
