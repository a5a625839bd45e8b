package peer

import (
	"testing"

	"github.com/pion/transport/v4/packetio"

	"switchboard/mediaworker/internal/forward"
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
