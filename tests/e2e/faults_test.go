package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/cluster"
	"switchboard/tests/e2e/rtcclient"
)

// quick is within what a call ends when its worker is dead: far below the
// call's whole budget.
const quick = 4 * time.Second

// witness is media that must not notice a fault.
type witness struct {
	harness
	publisher, subscriber *rtcclient.Client
	sources               []*rtcclient.Source
	inbounds              []*rtcclient.Inbound
	from                  []uint64
}

// watch starts media and counts from here on.
func (h harness) watch() *witness {
	h.t.Helper()
	w := &witness{harness: h, sources: h.sources()}
	w.publisher = h.publish(w.sources...)
	w.subscriber, w.inbounds = h.subscribe(w.publisher, w.sources...)
	h.allFlow(w.sources, w.inbounds, 10)
	for _, s := range w.sources {
		w.from = append(w.from, s.Next())
	}
	return w
}

// sawAll checks that no packet was lost since watch, nor of the next few.
func (w *witness) sawAll() {
	w.t.Helper()
	for i, s := range w.sources {
		to := s.Next() + 30
		w.ok(s.WaitSent(w.ctx, to-1))
		w.ok(w.inbounds[i].WaitAll(w.ctx, s, w.from[i], to))
	}
	w.allFlow(w.sources, w.inbounds, 1)
}

// works checks that the session takes calls that change it.
func (w *witness) works() {
	w.t.Helper()
	more := w.source(rtcclient.SourceConfig{Name: fmt.Sprintf("more-%d", time.Now().UnixNano()), Kind: rtcclient.Audio})
	w.ok(w.publisher.Push(w.ctx, more))
	inbounds, err := w.subscriber.Pull(w.ctx, w.publisher.Published(more)...)
	w.ok(err)
	w.flows(more, inbounds[0], 20)
}

// eventually repeats a call until it succeeds. A call that fails must say that
// it is worth repeating.
func (h harness) eventually(what string, call func() error) {
	h.t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := call()
		if err == nil {
			return
		}
		if status := apiclient.Status(err); status != 0 && status < 500 {
			h.t.Fatalf("%s: %v, want 5xx until it works again", what, err)
		}
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			h.t.Fatalf("%s: %v", what, err)
		}
	}
}

// A replica dies between two calls of a session; the other carries on.
func TestReplicaIsKilledBetweenCalls(t *testing.T) {
	t.Parallel()
	ownOfEach(t, cluster.Config{}, func(t *testing.T, h harness) {
		sources := h.sources()
		api := h.API()
		t.Cleanup(api.Close)
		survivor := api.Via(1)
		publisher, err := rtcclient.New(h.ctx, api.Via(0), rtcclient.Options{})
		h.ok(err)
		t.Cleanup(func() { _ = publisher.Close() })
		h.ok(publisher.Push(h.ctx, sources...))
		session, err := api.Via(0).NewSession(h.ctx)
		h.ok(err)
		h.ok(h.KillReplica(0))
		s, err := rtcclient.Attach(survivor, session, rtcclient.Options{})
		h.ok(err)
		t.Cleanup(func() { _ = s.Close() })
		inbounds, err := s.Pull(h.ctx, publisher.Published(sources...)...)
		h.ok(err)
		h.allFlow(sources, inbounds, 30)
	})
}

// A worker dies: calls on its sessions say so quickly, all others go on, and
// its clients start anew elsewhere.
func TestWorkerIsKilled(t *testing.T) {
	t.Parallel()
	ownOfEach(t, small, func(t *testing.T, h harness) {
		w := h.watch()
		doomed := h.source(rtcclient.SourceConfig{Name: "doomed", Kind: rtcclient.Audio})
		p := h.publishElsewhere(h.owner(w.publisher), doomed)
		worker, err := h.Owner(h.ctx, p.Session())
		h.ok(err)
		h.ok(h.KillWorker(worker))

		for range 3 {
			ctx, cancel := context.WithTimeout(h.ctx, quick)
			_, err := p.API().NewTracks(ctx, p.Session(), apiclient.Request{
				Tracks: []apiclient.Track{{Location: "remote", SessionID: w.publisher.Session(), TrackName: "mic"}},
			})
			cancel()
			if status := apiclient.Status(err); status != 410 && status != 503 {
				t.Errorf("a call on a session of the dead worker: %v, want 410 or 503 within %v", err, quick)
			}
		}
		w.sawAll()
		w.works()
		h.eventually("a new session after the worker's death", func() error {
			again, err := rtcclient.New(h.ctx, h.API(), rtcclient.Options{})
			if err != nil {
				return err
			}
			source, err := rtcclient.NewSource(rtcclient.SourceConfig{Name: "doomed", Kind: rtcclient.Audio})
			return errors.Join(err, again.Push(h.ctx, source), again.WaitConnected(h.ctx), again.Close())
		})
	})
}

// Redis loses all its data while media flows: nobody's session ends.
func TestRedisIsFlushed(t *testing.T) {
	t.Parallel()
	h := own(t, cluster.Config{})
	w := h.watch()
	h.ok(h.FlushRedis(h.ctx))
	w.recovers()
	w.sawAll()
	w.works()
}

// Redis is away for a while and comes back empty.
func TestRedisIsRestarted(t *testing.T) {
	t.Parallel()
	ownOfEach(t, cluster.Config{}, func(t *testing.T, h harness) {
		w := h.watch()
		h.ok(h.StopRedis())
		w.works() // known sessions need no directory
		if _, err := w.publisher.API().NewSession(h.ctx); apiclient.Status(err) != 503 {
			t.Errorf("a new session without Redis: %v, want 503", err)
		}
		h.ok(h.StartRedis(h.ctx))
		w.recovers()
		w.sawAll()
		w.works()
		h.eventually("a new session", func() error {
			_, err := w.publisher.API().NewSession(h.ctx)
			return err
		})
	})
}

// recovers waits until every replica serves both sessions. Until then they may
// answer 503, but never that a session is gone.
func (w *witness) recovers() {
	w.t.Helper()
	api := w.API()
	defer api.Close()
	for i := range api.Replicas() {
		for _, c := range []*rtcclient.Client{w.publisher, w.subscriber} {
			w.eventually("recovery", func() error {
				_, err := api.Via(i).Session(w.ctx, c.Session())
				return err
			})
		}
	}
}

// The message bus is away for a while: media flows, and a call waits for it or
// says that it is worth repeating.
func TestNATSIsRestarted(t *testing.T) {
	t.Parallel()
	ownOfEach(t, cluster.Config{}, func(t *testing.T, h harness) {
		w := h.watch()
		h.ok(h.StopNATS())
		during := make(chan error, 1)
		go func() {
			_, err := w.publisher.API().Session(h.ctx, w.publisher.Session())
			during <- err
		}()
		h.arrives(w.sources[0], w.inbounds[0], 50)
		h.ok(h.StartNATS(h.ctx))
		if err := <-during; err != nil && apiclient.Status(err) != 503 && apiclient.Status(err) != 504 {
			t.Errorf("a call while NATS was away: %v, want success, 503 or 504", err)
		}
		w.recovers()
		w.sawAll()
		w.works()
	})
}
