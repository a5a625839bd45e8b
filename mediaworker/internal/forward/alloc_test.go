//go:build !race

// The race detector makes sync.Pool drop items at random, so what is pooled
// allocates now and then; without it nothing may.

package forward

import (
	"testing"

	"github.com/pion/rtcp"
)

func TestFanOutAllocatesNothing(t *testing.T) {
	s := newStage(t, 10)
	for range 1000 {
		s.forward(4)
	}
	before := s.sinks[0].packets
	if n := testing.AllocsPerRun(500, func() { s.forward(4) }); n != 0 {
		t.Errorf("%v allocations per burst of 4 to 10 subscribers", n)
	}
	if got := s.sinks[9].packets - before; got != 501*4 {
		t.Errorf("%d packets were sent, want %d", got, 501*4)
	}
}

func TestTransportFeedbackAllocatesNothing(t *testing.T) {
	leg := newPeer(t)
	b, err := (&rtcp.TransportLayerCC{
		Header:    rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5, Padding: true},
		MediaSSRC: 1000, PacketStatusCount: 1,
		PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketNotReceived, RunLength: 1}},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { leg.dispatch(1000, b) }); n != 0 {
		t.Errorf("%v allocations per feedback packet", n)
	}
	if got := leg.Stats(); got.TransportReports != 101 || got.Malformed != 0 {
		t.Errorf("counted %+v", got)
	}
	// Not the whole of a compound, nor cut short.
	for _, other := range [][]byte{append(b[:len(b):len(b)], b...), b[:len(b)-4], b[:2], nil} {
		if onlyTransportFeedback(other) {
			t.Errorf("%d bytes count as one feedback packet", len(other))
		}
	}
}
