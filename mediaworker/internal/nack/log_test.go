package nack

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const ms = time.Millisecond

func due(l *Log, now time.Duration) []uint16 { return l.Due(now, nil) }

func TestSchedule(t *testing.T) {
	var l Log
	l.Received(65533, 0)
	if got := l.Received(65538, 0); got != Fresh {
		t.Errorf("outcome %v", got)
	}
	for _, tt := range []struct {
		name string
		at   time.Duration
		want []uint16
	}{
		{"at once, across the wrap", 0, []uint16{65534, 65535, 0, 1}},
		{"not again before a round trip", 100 * ms, nil},
		{"again", 125 * ms, []uint16{65534, 65535, 0, 1}},
	} {
		if diff := cmp.Diff(tt.want, due(&l, tt.at)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if got := l.Received(65535, 130*ms); got != Late {
		t.Errorf("recovered packet is %v", got)
	}
	if got := l.Received(65535, 131*ms); got != Stale {
		t.Errorf("second copy is %v", got)
	}
	if diff := cmp.Diff([]uint16{65534, 0, 1}, due(&l, 250*ms)); diff != "" {
		t.Error(diff)
	}
}

func TestRoundTripIsMeasured(t *testing.T) {
	var l Log
	l.Received(1, 0)
	l.Received(3, 0)
	due(&l, 0)
	l.Received(2, 40*ms)
	if l.RTT() != 40*ms {
		t.Errorf("rtt %v, want 40ms", l.RTT())
	}
	l.Received(5, 50*ms)
	due(&l, 50*ms)
	if diff := cmp.Diff([]uint16{4}, due(&l, 100*ms)); diff != "" {
		t.Errorf("the interval does not follow the round trip: %s", diff)
	}
	l.Received(4, 101*ms)
	if l.RTT() != 40*ms {
		t.Error("an answer to one of two requests was measured")
	}
}

func TestGivesUp(t *testing.T) {
	var l Log
	l.Received(1, 0)
	l.Received(3, 0)
	asked := 0
	for at := time.Duration(0); at < 10*time.Second; at += 10 * ms {
		asked += len(due(&l, at))
	}
	if asked != maxTries {
		t.Errorf("asked %d times, want %d", asked, maxTries)
	}
	if _, more := l.Next(); more {
		t.Error("still waiting for a packet that was given up")
	}
	for range 50 {
		l.Request(2, 10*time.Second)
	}
	if diff := cmp.Diff([]uint16{2}, due(&l, 10*time.Second)); diff != "" {
		t.Errorf("50 subscribers ask for one packet: %s", diff)
	}
	if got := due(&l, 11*time.Second); got != nil {
		t.Errorf("asked again for %v", got)
	}
}

func TestJumpIsNotLoss(t *testing.T) {
	var l Log
	l.Received(1, 0)
	l.Received(1+2*maxGap, 0)
	if got := due(&l, 0); got != nil {
		t.Errorf("asked for %d packets", len(got))
	}
}

func TestRestart(t *testing.T) {
	var l Log
	l.Received(1, 0)
	l.Received(5, 0)
	l.Restart()
	if got := l.Received(100000, 0); got != Fresh || due(&l, 0) != nil {
		t.Error("the former stream's losses are still asked for")
	}
}

// Whatever the losses and the order, each packet is new exactly once, and what
// is asked for is missing.
func TestEveryPacketIsNewOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l Log
		seen := map[uint64]bool{}
		next := uint64(65536 + rapid.IntRange(0, 65535).Draw(t, "first"))
		for i := range rapid.IntRange(1, 300).Draw(t, "packets") {
			seq := next
			if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
				seq -= uint64(rapid.IntRange(1, 100).Draw(t, "back"))
			} else {
				next += uint64(rapid.IntRange(1, 4).Draw(t, "gap"))
				seq = next
			}
			fresh := l.Received(seq, time.Duration(i)*ms) != Stale
			if fresh == seen[seq] {
				t.Fatalf("packet %d: new %v, seen before %v", seq, fresh, seen[seq])
			}
			seen[seq] = true
			for _, n := range due(&l, time.Duration(i)*ms) {
				if missing := next - uint64(uint16(next)-n); seen[missing] {
					t.Fatalf("asked for %d, which was received", missing)
				}
			}
		}
	})
}

func TestReceivedAllocatesNothing(t *testing.T) {
	var l Log
	seq := uint64(65536)
	buf := make([]uint16, 0, 64)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		l.Received(seq, 0)
		buf = l.Due(0, buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// A publisher that leaps as far as a gap goes must cost about as much as one
// that loses nothing.
func BenchmarkLeaps(b *testing.B) {
	var l Log
	sequence := uint64(0)
	for b.Loop() {
		l.Received(sequence, 0)
		sequence += maxGap
	}
}

func TestLongGap(t *testing.T) {
	var l Log
	l.Received(0, 0)
	l.Received(5, 0)
	l.Received(1000, 0)
	got := due(&l, 0)
	if len(got) != maxMissing || got[0] != 1000-maxMissing || got[maxMissing-1] != 999 {
		t.Errorf("%d numbers are asked for, from %d to %d; want the newest %d", len(got), got[0], got[len(got)-1], maxMissing)
	}
	// The earlier ones of the next gap take the place of the oldest.
	l.Received(1011, ms)
	if got := due(&l, ms); len(got) != 10 || got[0] != 1001 {
		t.Errorf("the next gap is asked for as %v", got)
	}
	if got := due(&l, time.Second); len(got) != maxMissing || got[0] != 1000-maxMissing+10 {
		t.Errorf("%d numbers are asked for again, from %d", len(got), got[0])
	}
}

func BenchmarkReceived(b *testing.B) {
	var l Log
	seq := uint64(65536)
	b.ReportAllocs()
	for b.Loop() {
		seq++
		l.Received(seq, 0)
	}
}
