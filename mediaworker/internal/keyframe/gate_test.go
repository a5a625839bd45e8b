package keyframe

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestGate(t *testing.T) {
	var g Gate
	for i, step := range []struct {
		at   time.Duration
		do   func(at time.Duration) bool
		want bool
	}{
		{0, func(at time.Duration) bool { return g.Request(at, 0) }, true},
		{499 * ms, func(at time.Duration) bool { return g.Request(at, 0) }, false},
		{499 * ms, func(at time.Duration) bool { return g.Due(at, 0) }, false},
		{500 * ms, func(at time.Duration) bool { return g.Due(at, 0) }, true},
		{501 * ms, func(at time.Duration) bool { return g.Due(at, 0) }, false},
		{600 * ms, func(at time.Duration) bool { return g.Request(at, 0) }, false},
		{700 * ms, func(at time.Duration) bool { g.Arrived(); return g.Pending() }, false},
		{1100 * ms, func(at time.Duration) bool { return g.Due(at, 0) }, false},
		{1600 * ms, func(at time.Duration) bool { return g.Request(at, 800*ms) }, false},
		{1700 * ms, func(at time.Duration) bool { return g.Due(at, 800*ms) }, true},
		{1701 * ms, func(at time.Duration) bool { g.Restart(); return g.Request(at, 0) }, true},
	} {
		if got := step.do(step.at); got != step.want {
			t.Errorf("step %d at %v: %v, want %v", i, step.at, got, step.want)
		}
	}
}

func TestManySubscribersCostOneRequest(t *testing.T) {
	var g Gate
	asked := 0
	for at := time.Duration(0); at < 10*time.Second; at += ms {
		for range 50 {
			if g.Request(at, 0) {
				asked++
			}
		}
	}
	if asked != 20 {
		t.Errorf("asked %d times in ten seconds, want 20", asked)
	}
}
