package dispatch

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"switchboard/controlplane/internal/placement"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	// snapshotAge is how old the loads in a cluster snapshot may be.
	snapshotAge = 100 * time.Millisecond
	// forgetAfter is how long a dead worker is remembered: until the directory's
	// leases that name it have expired.
	forgetAfter = 2 * time.Minute
)

// table knows the workers by their heartbeats. mu guards everything in it.
type table struct {
	mu      sync.Mutex
	entries map[ids.WorkerID]*entry
	// excused is until when silence proves nothing.
	excused time.Time
	closed  bool
	// snapshot is the last cluster, nil when membership changed since.
	snapshot placement.Cluster
	taken    time.Time
}

// entry is one worker. A worker that was asked for but never heard has no
// heartbeat: it is not in the cluster, but has a life that ends like others.
type entry struct {
	worker placement.Worker
	heard  bool
	left   bool // it said goodbye: its id never comes back
	// life ends when the worker is known to be gone; end ends it.
	life context.Context
	end  context.CancelFunc
	died time.Time
}

func newTable() *table { return &table{entries: map[ids.WorkerID]*entry{}} }

// entry returns the worker's entry, made on first sight. The caller holds mu.
func (t *table) entry(w ids.WorkerID, now time.Time) *entry {
	e := t.entries[w]
	if e == nil {
		e = &entry{worker: placement.Worker{ID: w, LastBeat: now}}
		e.life, e.end = context.WithCancel(context.Background())
		if t.closed {
			e.end()
		}
		t.entries[w] = e
	}
	return e
}

// beat takes a heartbeat that was received now and reports whether it is the
// first of a worker, or of one that was given up.
func (t *table) beat(h *wire.Heartbeat, now time.Time) (joined bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(h.Worker, now)
	if e.left || t.closed {
		return false
	}
	if e.life.Err() != nil {
		e.life, e.end = context.WithCancel(context.Background())
		e.heard = false
	}
	joined = !e.heard
	if joined || e.worker.State != h.State {
		t.snapshot = nil
	}
	e.heard = true
	e.worker = placement.Worker{
		ID: h.Worker, Region: h.Region, State: h.State,
		Sessions: h.Sessions, MaxSessions: h.MaxSessions, CPU: h.CPU, AppSessions: h.AppSessions,
		LastBeat: now,
	}
	return joined
}

// bye ends a worker for good.
func (t *table) bye(w ids.WorkerID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entry(w, now)
	e.left = true
	t.kill(e, now)
}

func (t *table) kill(e *entry, now time.Time) {
	if e.life.Err() != nil {
		return
	}
	e.end()
	e.died = now
	t.snapshot = nil
}

// excuse says that nobody can be heard now.
func (t *table) excuse(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excused = now
}

// sweep ends the workers that were silent for placement.DeadAfter, returns
// them, and forgets those long dead.
func (t *table) sweep(now time.Time) (lost []ids.WorkerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.entries {
		heard := e.worker.LastBeat
		if t.excused.After(heard) {
			heard = t.excused
		}
		switch dead := e.life.Err() != nil; {
		case !dead && now.Sub(heard) >= placement.DeadAfter:
			t.kill(e, now)
			lost = append(lost, id)
		case dead && now.Sub(e.died) >= forgetAfter:
			delete(t.entries, id)
		}
	}
	slices.Sort(lost)
	return lost
}

// life returns a context that ends when the worker is known to be gone.
func (t *table) life(w ids.WorkerID, now time.Time) context.Context {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entry(w, now).life
}

// cluster returns a snapshot that is never changed.
func (t *table) cluster(now time.Time) placement.Cluster {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.snapshot != nil && now.Sub(t.taken) < snapshotAge {
		return t.snapshot
	}
	cluster := make(placement.Cluster, 0, len(t.entries))
	for _, e := range t.entries {
		if e.heard && e.life.Err() == nil {
			cluster = append(cluster, e.worker)
		}
	}
	slices.SortFunc(cluster, func(a, b placement.Worker) int { return cmp.Compare(a.ID, b.ID) })
	t.snapshot, t.taken = cluster, now
	return cluster
}

// close ends every life; later ones are born ended.
func (t *table) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, e := range t.entries {
		e.end()
	}
}
