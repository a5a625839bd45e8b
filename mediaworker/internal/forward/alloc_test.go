//go:build !race

// The race detector makes sync.Pool drop items at random, so what is pooled
// allocates now and then; without it nothing may.

package forward

import "testing"

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
