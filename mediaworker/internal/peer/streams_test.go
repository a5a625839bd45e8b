package peer

import (
	"testing"
	"testing/synctest"

	"github.com/pion/transport/v4/packetio"

	"switchboard/mediaworker/internal/forward"
)

// A browser names its layers only until it has heard that they came. What it
// sends to a fresh peer is then known from the former one, whose transport, and
// with it every stream, has ended by the time.
func TestStreamsOutliveTheirPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lines := append([]string{"a=rid:f send", "a=rid:h send", "a=simulcast:send f;h"}, vp8...)
		d := description(t, "actpass", media("video", "sim", "sendonly", "96 97", lines...))
		pub := forward.NewPublication(forward.PublicationConfig{})
		defer pub.Close()
		transport := func() (*demux, func(ssrc uint32, pt uint8, extensions map[uint8]string)) {
			leg := forward.NewLeg(forward.LegConfig{})
			t.Cleanup(leg.Close)
			x := newDemux(leg, func() { t.Error("too many streams") })
			x.describe(d)
			x.publish("sim", pub)
			sequence := uint16(0x1000)
			return x, func(ssrc uint32, pt uint8, extensions map[uint8]string) {
				t.Helper()
				in := x.buffer(packetio.RTPBufferPacket, ssrc)
				if _, err := in.Write(packet(t, ssrc, pt, sequence, extensions)); err != nil {
					t.Fatal(err)
				}
				sequence++
				synctest.Wait()
				if err := in.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		packets := func() map[string]uint64 {
			got := make(map[string]uint64)
			for _, l := range pub.Layers() {
				got[l.RID] = l.Usage.IngressPackets
			}
			return got
		}
		first, send := transport()
		send(1, 96, map[uint8]string{4: "sim", 10: "f"})
		send(2, 96, map[uint8]string{4: "sim", 10: "h"})
		send(3, 97, map[uint8]string{4: "sim", 11: "f"})
		send(4, 97, map[uint8]string{4: "sim", 11: "f"}) // in place of 3
		before := packets()

		second, send := transport()
		(&Peer{demux: second}).Recall((&Peer{demux: first}).Streams())
		send(1, 96, nil)
		send(2, 96, nil)
		send(2, 96, nil)
		send(9, 96, nil) // nobody knows it
		after := packets()
		if f, h := after["f"]-before["f"], after["h"]-before["h"]; f != 1 || h != 2 || len(after) != 2 {
			t.Errorf("%d packets of f and %d of h came, want 1 and 2 (%v)", f, h, after)
		}
		if got := second.known.repairOf("sim", "f"); got != 4 {
			t.Errorf("layer f is repaired by stream %d, want 4", got)
		}
		if got := second.known.repairOf("sim", "h"); got != 0 {
			t.Errorf("layer h is repaired by stream %d, want none", got)
		}

		// A client that names its streams is believed: these are others.
		third, send := transport()
		(&Peer{demux: third}).Recall((&Peer{demux: second}).Streams())
		send(1, 96, map[uint8]string{4: "sim", 10: "h"})
		if got := packets()["h"] - after["h"]; got != 1 {
			t.Errorf("%d packets came for the layer that the stream names, want 1", got)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	s := make(Streams)
	for i := range uint32(2 * maxStreams) {
		s.learn(i, identity{mid: "sim", rid: string(rune(i))})
	}
	if len(s) != maxStreams {
		t.Errorf("%d streams are remembered, want %d", len(s), maxStreams)
	}
}
