package session

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"switchboard/shared/wire"
)

// What is sent to one client in one go leaves the worker as a run.
func TestBurstLeavesInRuns(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.push(publisher.send("cam", wire.Video, 65530))
	mid := viewer.pull(publisher, "cam")[0]
	viewer.waitPackets(10, mid)
	var ssrc uint32
	for _, receiver := range viewer.pc.GetReceivers() {
		if track := receiver.Track(); track != nil {
			ssrc = uint32(track.SSRC())
		}
	}
	deadline := time.After(patience)
	for {
		numbers := viewer.received(mid)
		lost := rtcp.NackPairsFromSequenceNumbers(numbers[len(numbers)-5:])
		if err := viewer.pc.WriteRTCP([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: lost}}); err != nil {
			t.Fatal(err)
		}
		viewer.waitPackets(5, mid)
		if c := r.mux.Counters(); c.Messages < c.Sent {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("every datagram left alone: %+v", r.mux.Counters())
		default:
		}
	}
}
