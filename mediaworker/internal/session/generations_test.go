package session

import (
	"fmt"
	"testing"

	"switchboard/shared/ids"
)

func TestGenerations(t *testing.T) {
	var g generations
	last := make(map[ids.TrackName]uint64)
	publish := func(name ids.TrackName) {
		t.Helper()
		n := g.next(name)
		if n <= last[name] {
			t.Fatalf("%s is published as generation %d after %d", name, n, last[name])
		}
		last[name] = n
	}
	for want := range uint64(3) {
		if publish("camera"); last["camera"] != want+1 {
			t.Errorf("generation %d, want %d", last["camera"], want+1)
		}
	}
	for i := range 5 * maxNames {
		publish(ids.TrackName(fmt.Sprint(i)))
		if i%100 == 0 {
			publish("camera")
			publish(ids.TrackName(fmt.Sprint(i / 2)))
		}
	}
	if len(g.count) > maxNames {
		t.Errorf("%d names are kept", len(g.count))
	}
}
