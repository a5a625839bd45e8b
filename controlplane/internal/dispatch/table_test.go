package dispatch

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/controlplane/internal/placement"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func beatOf(w ids.WorkerID) *wire.Heartbeat {
	return &wire.Heartbeat{Worker: w, State: wire.WorkerServing}
}

func members(c placement.Cluster) []ids.WorkerID {
	var list []ids.WorkerID
	for _, w := range c {
		list = append(list, w.ID)
	}
	return list
}

func wantMembers(t *testing.T, table *table, now time.Time, want ...ids.WorkerID) {
	t.Helper()
	if diff := cmp.Diff(want, members(table.cluster(now))); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
}

func TestWorkersComeAndGo(t *testing.T) {
	table := newTable()
	if !table.beat(beatOf("w2"), start) || !table.beat(beatOf("w1"), start) || table.beat(beatOf("w1"), start) {
		t.Error("joined is told by the first heartbeat and no other")
	}
	wantMembers(t, table, start, "w1", "w2")

	life1, life2 := table.life("w1", start), table.life("w2", start)
	table.bye("w1", start)
	if life1.Err() == nil || life2.Err() != nil {
		t.Error("a goodbye ends the life of its worker and no other")
	}
	wantMembers(t, table, start, "w2")
	if table.beat(beatOf("w1"), start.Add(time.Second)) {
		t.Error("a late heartbeat revives a worker that said goodbye")
	}
	wantMembers(t, table, start.Add(time.Second), "w2")

	almost := start.Add(placement.DeadAfter - 1)
	if lost := table.sweep(almost); lost != nil {
		t.Errorf("lost too early: %v", lost)
	}
	if diff := cmp.Diff([]ids.WorkerID{"w2"}, table.sweep(start.Add(placement.DeadAfter))); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	if life2.Err() == nil {
		t.Error("missed heartbeats do not end the life")
	}
	back := start.Add(placement.DeadAfter + time.Second)
	if !table.beat(beatOf("w2"), back) || table.life("w2", back).Err() != nil {
		t.Error("a worker whose link was cut does not come back")
	}
	wantMembers(t, table, back, "w2")
}

// A worker that a command names, but that was never heard, is no candidate, and
// dead when it stays silent.
func TestUnheardWorker(t *testing.T) {
	table := newTable()
	life := table.life("w1", start)
	wantMembers(t, table, start)
	if life.Err() != nil {
		t.Error("unheard is not dead")
	}
	table.sweep(start.Add(placement.DeadAfter))
	if life.Err() == nil {
		t.Error("silence from the first question on is death")
	}
	table.sweep(start.Add(placement.DeadAfter + forgetAfter))
	if len(table.entries) != 0 {
		t.Errorf("%d workers are remembered for ever", len(table.entries))
	}
}

func TestOwnSilenceIsExcused(t *testing.T) {
	table := newTable()
	table.beat(beatOf("w1"), start)
	reconnected := start.Add(time.Minute)
	table.excuse(reconnected)
	if lost := table.sweep(reconnected.Add(placement.DeadAfter - 1)); lost != nil {
		t.Errorf("%v died of our own silence", lost)
	}
	if lost := table.sweep(reconnected.Add(placement.DeadAfter)); len(lost) != 1 {
		t.Errorf("lost %v, want w1", lost)
	}
}

func TestClusterSnapshot(t *testing.T) {
	table := newTable()
	h := beatOf("w1")
	table.beat(h, start)
	first := table.cluster(start)
	loaded := beatOf("w1")
	loaded.CPU = 0.5
	table.beat(loaded, start.Add(time.Millisecond))
	if got := table.cluster(start.Add(snapshotAge - 1)); got[0].CPU != 0 {
		t.Error("a load change alone makes a new snapshot")
	}
	if got := table.cluster(start.Add(snapshotAge)); got[0].CPU != 0.5 {
		t.Error("the load is too old")
	}
	draining := beatOf("w1")
	draining.State = wire.WorkerDraining
	table.beat(draining, start.Add(snapshotAge))
	if got := table.cluster(start.Add(snapshotAge)); got[0].State != wire.WorkerDraining {
		t.Error("a change of state waits for the snapshot's age")
	}
	if first[0].State != wire.WorkerServing || first[0].CPU != 0 {
		t.Error("a snapshot was changed")
	}
}

func TestClosedTableHasNoLife(t *testing.T) {
	table := newTable()
	life := table.life("w1", start)
	table.close()
	if life.Err() == nil || table.life("w2", start).Err() == nil || table.beat(beatOf("w3"), start) {
		t.Error("a closed table lets workers live")
	}
}
