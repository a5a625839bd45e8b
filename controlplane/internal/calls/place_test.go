package calls

import (
	"context"
	"sync"
	"testing"
	"time"

	"switchboard/controlplane/internal/placement"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestPlacementIsLazy(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.session(t)
	if got := r.owner(t, ref); got.Worker != "" || w.Received() != 0 {
		t.Errorf("before it negotiates a session is on %q, the worker got %d commands", got.Worker, w.Received())
	}
	result, err := r.Push(t.Context(), pushOf(ref, "cam", "mic"))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, result.Tracks, nil, nil)
	if result.Description == nil || *result.Description != answerOfSFU {
		t.Errorf("description %+v, want the worker's answer", result.Description)
	}
	if got := r.owner(t, ref); got.Worker != w.ID || got.Rev != 1 {
		t.Errorf("the directory says %+v, want %s at rev 1", got, w.ID)
	}
}

func TestCreateSessionWithOffer(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	if _, err := r.CreateSession(t.Context(), CreateSession{App: app, Offer: clientOffer}); !fault.NoWorker.Is(err) {
		t.Errorf("without workers: %v, want NoWorker", err)
	}
	w := c.worker(testkit.WorkerOptions{}, r)
	created, err := r.CreateSession(t.Context(), CreateSession{App: app, ThirdParty: true, Offer: clientOffer})
	if err != nil {
		t.Fatal(err)
	}
	if created.Answer == nil || *created.Answer != answerOfSFU {
		t.Errorf("answer %+v", created.Answer)
	}
	if got := r.owner(t, wire.SessionRef{App: app, Session: created.Session}); got.Worker != w.ID || got.Rev != 1 || !got.ThirdParty {
		t.Errorf("the directory says %+v", got)
	}
}

// The first two calls of a session, through two replicas at once, a thousand
// times: one owner, no orphan.
func TestTwoReplicasRaceTheFirstCalls(t *testing.T) {
	testkit.NoLeaks(t)
	const sessions = 1000
	c := newCluster(t)
	c.patience = 10 * time.Second
	first, second := c.replica(spread), c.replica(spread)
	second.placements.Add(1) // so that they plan for different workers
	workers := []*testkit.Worker{c.worker(testkit.WorkerOptions{}, first, second), c.worker(testkit.WorkerOptions{}, first, second)}

	refs := make([]wire.SessionRef, sessions)
	work := make(chan int)
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for i := range work {
				refs[i] = first.session(t)
				raceFirstCalls(t, refs[i], first, second)
			}
		})
	}
	for i := range refs {
		work <- i
	}
	close(work)
	callers.Wait()

	held := 0
	for _, w := range workers {
		if n := w.Sessions(); n == 0 {
			t.Errorf("%s holds nothing: the replicas did not disagree", w.ID)
		} else {
			held += n
		}
		if !w.Renew() {
			t.Error("the directory does not answer")
		}
		if fenced := w.Fenced(); len(fenced) != 0 {
			t.Errorf("%s held %d orphans", w.ID, len(fenced))
		}
	}
	if held != sessions {
		t.Errorf("the workers hold %d sessions, want %d", held, sessions)
	}
	for _, ref := range refs {
		owner := first.owner(t, ref)
		for _, w := range workers {
			if w.Holds(ref) != (w.ID == owner.Worker) {
				t.Fatalf("%s: the directory says %s, %s holds it: %t", ref.Session, owner.Worker, w.ID, w.Holds(ref))
			}
		}
		if owner.Rev != 2 {
			t.Errorf("%s: rev %d after two calls", ref.Session, owner.Rev)
		}
	}
}

func raceFirstCalls(t *testing.T, ref wire.SessionRef, replicas ...*replica) {
	var calls sync.WaitGroup
	for i, r := range replicas {
		calls.Go(func() {
			if _, err := r.Push(t.Context(), pushOf(ref, ids.TrackName("track"+string(rune('0'+i))))); err != nil {
				t.Errorf("push through replica %d: %v", i, err)
			}
		})
	}
	calls.Wait()
}

// Workers that are full or draining, though the replica does not know it yet,
// or that die with the first call in flight, are passed over.
func TestNextCandidate(t *testing.T) {
	bad := map[string]func(t *testing.T, c *cluster, r *replica) *testkit.Worker{
		"draining": func(_ *testing.T, c *cluster, r *replica) *testkit.Worker {
			w := c.worker(testkit.WorkerOptions{ID: "a"}, r)
			w.Freeze() // no heartbeat tells
			w.Drain()
			w.Thaw()
			return w
		},
		"killed": func(t *testing.T, c *cluster, r *replica) *testkit.Worker {
			w := c.worker(testkit.WorkerOptions{ID: "a"}, r)
			w.Kill()
			return w
		},
		"dies in flight": func(_ *testing.T, c *cluster, r *replica) *testkit.Worker {
			var w *testkit.Worker
			w = c.worker(testkit.WorkerOptions{ID: "a", Before: func(ctx context.Context, _ wire.Operation, _ ids.CommandID) {
				go w.Bye("crashed")
				<-ctx.Done()
			}}, r)
			return w
		},
	}
	for name, start := range bad {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			r := c.replica(spread)
			a := start(t, c, r)
			b := c.worker(testkit.WorkerOptions{ID: "b"}, r)
			ref := r.pushed(t, "cam") // sequence 0: worker a
			if got := r.owner(t, ref); got.Worker != b.ID || got.Rev != 1 {
				t.Errorf("the directory says %+v, want b at rev 1", got)
			}
			if a.Holds(ref) {
				t.Error("the first candidate holds it too")
			}
		})
	}
}

func TestNoWorker(t *testing.T) {
	c := newCluster(t)
	r := c.replica(spread)
	ref := r.session(t)
	_, err := r.Push(t.Context(), pushOf(ref, "cam"))
	wantFault(t, err, fault.NoWorker)
	w := c.worker(testkit.WorkerOptions{MaxSessions: 1}, r)
	r.pushed(t, "cam")
	_, err = r.Push(t.Context(), pushOf(ref, "cam")) // full, and the heartbeat is old
	wantFault(t, err, fault.NoWorker)
	if w.Sessions() != 1 {
		t.Errorf("the worker holds %d sessions", w.Sessions())
	}
	c.worker(testkit.WorkerOptions{}, r)
	if _, err := r.Push(t.Context(), pushOf(ref, "cam")); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// A first pull goes to the worker that holds most of what it wants.
func TestFirstPullFollowsThePublications(t *testing.T) {
	c := newCluster(t)
	r := c.replica(spread)
	a, b := c.worker(testkit.WorkerOptions{ID: "a"}, r), c.worker(testkit.WorkerOptions{ID: "b"}, r)
	onA, onB := r.pushed(t, "cam", "mic"), r.pushed(t, "cam")
	if !a.Holds(onA) || !b.Holds(onB) {
		t.Fatal("the sessions are not spread")
	}
	local := c.replica(Options{Policy: placement.Local})
	testkit.Eventually(t, "the replica hears both", func() bool { return len(local.workers.Cluster()) == 2 })
	for _, test := range []struct {
		want *testkit.Worker
		keys []ids.TrackKey
		item []*fault.Kind
	}{
		{b, []ids.TrackKey{key(onB, "cam")}, []*fault.Kind{nil}},
		{a, []ids.TrackKey{key(onB, "cam"), key(onA, "cam"), key(onA, "mic")}, []*fault.Kind{fault.RelayUnavailable, nil, nil}},
	} {
		ref := local.session(t)
		result, err := local.Pull(t.Context(), pullOf(ref, test.keys...))
		if err != nil {
			t.Fatal(err)
		}
		wantItems(t, result.Tracks, test.item...)
		if !test.want.Holds(ref) {
			t.Errorf("the pull of %v is not on %s", test.keys, test.want.ID)
		}
		if result.Description == nil || *result.Description != offerOfSFU {
			t.Errorf("description %+v, want the SFU's offer", result.Description)
		}
	}
}

func TestBudgetEnds(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	r.budget = 50 * time.Millisecond
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.pushed(t, "cam")
	w.Freeze()
	_, err := r.Push(t.Context(), pushOf(ref, "mic"))
	wantFault(t, err, fault.Timeout)
	// On a session that never negotiated too: the worker may have done the work,
	// so that it is not moved.
	fresh := r.session(t)
	_, err = r.Push(t.Context(), pushOf(fresh, "mic"))
	wantFault(t, err, fault.Timeout)
	if got := r.owner(t, fresh); got.Worker != w.ID {
		t.Errorf("the session moved to %q", got.Worker)
	}
}

// A caller who hangs up does not stop what was begun.
func TestCallerHangsUp(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	c.worker(testkit.WorkerOptions{Before: func(context.Context, wire.Operation, ids.CommandID) { hangUp() }}, r)
	ref := r.session(t)
	if _, err := r.Push(ctx, pushOf(ref, "cam")); err != nil {
		t.Error(err)
	}
	if got := r.owner(t, ref); got.Rev != 1 {
		t.Errorf("rev %d: the work was not recorded", got.Rev)
	}
}
