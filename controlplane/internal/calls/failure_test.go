package calls

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"switchboard/controlplane/internal/directory"
	"switchboard/controlplane/internal/placement"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// A replica dies after the worker did the work and before the directory knows:
// another replica serves the session, and the renewal repairs the directory.
func TestReplicaDiesBeforeCommit(t *testing.T) {
	c := newCluster(t)
	dying, other := c.replica(Options{}), c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, dying, other)
	ref := dying.session(t)
	dying.Service.directory = &broken{Directory: dying.directory, commit: errDown}
	if _, err := dying.Push(t.Context(), pushOf(ref, "cam")); err != nil {
		t.Errorf("the worker did the work, yet the call fails: %v", err)
	}
	if got := other.owner(t, ref); got.Worker != w.ID || got.Rev != 0 {
		t.Errorf("the directory says %+v, want %s at rev 0", got, w.ID)
	}
	if _, err := other.Push(t.Context(), pushOf(ref, "mic")); err != nil {
		t.Fatal(err)
	}
	if !w.Renew() {
		t.Fatal("the directory does not answer")
	}
	if got := other.owner(t, ref); got.Worker != w.ID || got.Rev != 2 {
		t.Errorf("after the renewal the directory says %+v, want %s at rev 2", got, w.ID)
	}
	if len(w.Fenced()) != 0 || !w.Holds(ref) {
		t.Error("the worker lost the session")
	}
}

// The directory gives the session to another worker while a call works on the
// first: the call fails as retryable, and the orphan is closed.
func TestFencedCommit(t *testing.T) {
	c := newCluster(t)
	r := c.replica(spread)
	var ref wire.SessionRef
	a := c.worker(testkit.WorkerOptions{ID: "a", Before: func(_ context.Context, op wire.Operation, _ ids.CommandID) {
		if op != wire.OpTracksNew {
			return
		}
		if _, err := r.directory.Claim(t.Context(), ref, "b", "a"); err != nil {
			t.Error(err)
		}
	}}, r)
	b := c.worker(testkit.WorkerOptions{ID: "b"}, r)
	ref = r.session(t)
	_, err := r.Push(t.Context(), pushOf(ref, "cam"))
	wantFault(t, err, fault.WorkerLost)
	if a.Holds(ref) {
		t.Error("the orphan was not closed")
	}
	if _, err := r.Push(t.Context(), pushOf(ref, "cam")); err != nil || !b.Holds(ref) {
		t.Errorf("the retry: %v, on the owner: %t", err, b.Holds(ref))
	}
}

// A worker that dies with a call of an established session in flight: the call
// is answered at once, and afterwards the session is gone.
func TestWorkerDiesInFlight(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	held := make(chan struct{})
	var arm sync.Once
	w := c.worker(testkit.WorkerOptions{Before: func(ctx context.Context, op wire.Operation, _ ids.CommandID) {
		if op == wire.OpRenegotiate {
			arm.Do(func() { close(held) })
			<-ctx.Done()
		}
	}}, r)
	ref := r.pushed(t, "cam")
	done := make(chan error, 1)
	began := time.Now()
	go func() {
		done <- r.Renegotiate(t.Context(), wire.Renegotiate{SessionRef: ref, SessionDescription: clientAnswer})
	}()
	<-held
	w.Bye("crashed")
	// Dead by its own word, and nobody else has the session.
	wantFault(t, <-done, fault.SessionGone)
	if took := time.Since(began); took > Budget/2 {
		t.Errorf("answered after %s", took)
	}
	_, err := r.Describe(t.Context(), ref)
	wantFault(t, err, fault.SessionGone)
}

// A worker without responders that may be reconnecting is lost, not gone; once
// it missed its heartbeats it is gone.
func TestWorkerLostThenGone(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.pushed(t, "cam")
	w.Kill()
	_, err := r.Push(t.Context(), pushOf(ref, "mic"))
	wantFault(t, err, fault.WorkerLost)
	testkit.Eventually(t, "the heartbeats are missed", func() bool { return r.workers.Dead(w.ID) })
	_, err = r.Push(t.Context(), pushOf(ref, "mic"))
	wantFault(t, err, fault.SessionGone)
	pulled, err := r.Pull(t.Context(), pullOf(r.session(t), key(ref, "cam")))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound)
}

// The owner says that it lacks the session: gone, and remembered as ended.
func TestWorkerLacksTheSession(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.pushed(t, "cam")
	w.Forget(ref)
	_, err := r.Describe(t.Context(), ref)
	wantFault(t, err, fault.SessionGone)
	if _, err := r.directory.Begin(t.Context(), ref); !errors.Is(err, directory.ErrEnded) {
		t.Errorf("the directory says %v, want ErrEnded", err)
	}
	before := w.Received()
	_, err = r.Push(t.Context(), pushOf(ref, "cam"))
	wantFault(t, err, fault.SessionGone)
	if w.Received() != before {
		t.Error("the worker is asked for an ended session")
	}
}

func TestUnknownAndForeignSessions(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	mine := r.pushed(t, "cam")
	foreign := wire.SessionRef{App: "other", Session: mine.Session}
	for name, ref := range map[string]wire.SessionRef{"unknown": {App: app, Session: ids.NewSessionID()}, "foreign": foreign} {
		before := w.Received()
		_, err := r.Push(t.Context(), pushOf(ref, "cam"))
		if !fault.SessionGone.Is(err) {
			t.Errorf("%s session: %v, want SessionGone", name, err)
		}
		if w.Received() != before {
			t.Errorf("%s session: a worker got a command", name)
		}
	}
	pulled, err := r.Pull(t.Context(), Pull{SessionRef: wire.SessionRef{App: "other", Session: must(r.CreateSession(t.Context(), CreateSession{App: "other"})).Session},
		Tracks: []wire.Pull{{TrackKey: key(mine, "cam")}}})
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound)
}

func must(c CreatedSession, err error) CreatedSession {
	if err != nil {
		panic(err)
	}
	return c
}

func TestSearchesAreLimited(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	unknown := wire.SessionRef{App: app, Session: ids.NewSessionID()}
	for range searchesBurst {
		r.searches.allow(app)
	}
	_, err := r.Describe(t.Context(), unknown)
	wantFault(t, err, fault.StoreUnavailable)
	unknown.App = "other"
	_, err = r.Describe(t.Context(), unknown)
	wantFault(t, err, fault.SessionGone)
}

func TestRateLimit(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	c.worker(testkit.WorkerOptions{}, r)
	ref := r.session(t)
	for range 1000 {
		if _, err := r.Describe(t.Context(), ref); err != nil {
			wantFault(t, err, fault.RateLimited)
			return
		}
	}
	t.Error("a thousand calls at once are not too many")
}

// Redis goes: sessions that exist are served from memory and by asking the
// workers, new ones are refused as retryable. It comes back empty: the workers
// announce, and nobody hears 410 before that is certain.
func TestRedisDiesAndComesBackEmpty(t *testing.T) {
	c := newCluster(t)
	redis := testkit.RealRedis(t)
	c.address, c.lease = redis.Addr(), 3*time.Second
	first, second := c.replica(Options{}), c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, first, second)
	publisher, idle := first.pushed(t, "cam"), first.session(t)
	ctx, stop := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() {
		first.directory.Watch(ctx, func(e directory.Event, _ error) {
			if e == directory.DataLost {
				first.workers.RequestAnnouncements()
			}
		})
	})
	defer watch.Wait()
	defer stop()

	redis.Kill()
	for name, r := range map[string]*replica{"that knows it": first, "that asks": second} {
		if _, err := r.Push(t.Context(), pushOf(publisher, "mic")); err != nil {
			t.Errorf("known session, replica %s: %v", name, err)
		}
		_, err := r.CreateSession(t.Context(), CreateSession{App: app})
		wantFault(t, err, fault.StoreUnavailable)
		_, err = r.Describe(t.Context(), idle)
		wantFault(t, err, fault.StoreUnavailable)
	}
	pulled, err := second.Pull(t.Context(), pullOf(publisher, key(publisher, "cam"), key(idle, "cam")))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, nil, fault.TrackError)

	redis.Start()
	testkit.Eventually(t, "the sessions are announced", func() bool {
		s, err := first.directory.Begin(t.Context(), publisher)
		return err == nil && s.Worker == w.ID && s.Rev >= 4
	})
	_, err = first.Describe(t.Context(), idle)
	wantFault(t, err, fault.StoreUnavailable)
	testkit.Eventually(t, "the lease period passes", func() bool {
		_, err := first.Describe(t.Context(), idle)
		return fault.SessionGone.Is(err)
	})
}

// A directory that lost its entries and cannot be told of the loss yet.
func TestFlushedBeforeItIsNoticed(t *testing.T) {
	c := newCluster(t)
	r, other := c.replica(Options{}), c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r, other)
	ref := r.pushed(t, "cam")
	if err := testkit.RedisClient(t, c.address).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for name, replica := range map[string]*replica{"that knows it": r, "that asks": other} {
		if _, err := replica.Describe(t.Context(), ref); err != nil {
			t.Errorf("replica %s: %v", name, err)
		}
	}
	// A pull in a session that was never placed and is lost now: gone. But the
	// publication is found once its worker renewed its lease.
	if !w.Renew() {
		t.Fatal("the directory does not answer")
	}
	pulled, err := other.Pull(t.Context(), pullOf(other.session(t), key(ref, "cam")))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, nil)
}

func TestDefectsPassThrough(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{Policy: placement.Local})
	defect := errors.New("defect")
	r.Service.directory = &broken{Directory: r.directory, begin: defect}
	if _, err := r.Describe(t.Context(), r.session(t)); !errors.Is(err, defect) {
		t.Errorf("error %v, want the defect", err)
	}
}
