package e2e_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/rtcclient"
)

// Redis takes connections and answers nothing: that must cost calls no more than
// a Redis that is away.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	ownOfEach(t, small, func(t *testing.T, h harness) {
		w := h.watch()
		h.ok(h.FreezeRedis())
		for range 3 {
			began := time.Now()
			if _, err := w.publisher.API().NewSession(h.ctx); apiclient.Status(err) != 503 {
				t.Errorf("a new session while Redis hangs: %v, want 503", err)
			}
			if took := time.Since(began); took > quick {
				t.Errorf("a new session while Redis hangs: refused after %v", took)
			}
		}
		w.works()
		w.sawAll()
		h.ok(h.ThawRedis())
		h.eventually("a new session", func() error {
			_, err := w.publisher.API().NewSession(h.ctx)
			return err
		})
		w.recovers()
		w.works()
		w.sawAll()
	})
}

// Redis and the message bus are away at once: media does not notice.
func TestRedisAndNATSAreAway(t *testing.T) {
	t.Parallel()
	ownOfEach(t, small, func(t *testing.T, h harness) {
		w := h.watch()
		h.ok(h.StopRedis())
		h.ok(h.StopNATS())
		w.sawAll()
		h.ok(h.StartRedis(h.ctx))
		h.ok(h.StartNATS(h.ctx))
		w.recovers()
		w.sawAll()
		w.works()
	})
}

// A worker stands still for some seconds: calls on its sessions end in time,
// others notice nothing, and its sessions are usable again when it goes on.
func TestWorkerIsFrozen(t *testing.T) {
	t.Parallel()
	binaries, err := shared.binaries()
	if err != nil {
		t.Fatal(err)
	}
	config := small
	config.Processes = binaries
	h := own(t, config)
	w := h.watch()
	source := h.source(rtcclient.SourceConfig{Name: "halting", Kind: rtcclient.Audio})
	p := h.publishElsewhere(h.owner(w.publisher), source)
	worker, err := h.Owner(h.ctx, p.Session())
	h.ok(err)
	h.ok(h.FreezeWorker(worker))

	for range 3 {
		ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
		_, err := p.API().Session(ctx, p.Session())
		cancel()
		if status := apiclient.Status(err); status != 410 && status != 503 && status != 504 {
			t.Errorf("a call on a session of the frozen worker: %v, want 410, 503 or 504", err)
		}
	}
	w.works()
	h.eventually("a new session beside the frozen worker", func() error {
		again, err := rtcclient.New(h.ctx, h.API(), rtcclient.Options{})
		if err != nil {
			return err
		}
		source, err := rtcclient.NewSource(rtcclient.SourceConfig{Name: "new", Kind: rtcclient.Audio})
		return errors.Join(err, again.Push(h.ctx, source), again.WaitConnected(h.ctx), again.Close())
	})
	w.sawAll()

	h.ok(h.ThawWorker(worker))
	h.ok(p.WaitConnected(h.ctx))
	s := h.join(rtcclient.Options{})
	var inbounds []*rtcclient.Inbound
	for {
		// Until its heartbeat is heard the worker counts as gone.
		if inbounds, err = s.Pull(h.ctx, p.Published(source)...); err == nil {
			break
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-h.ctx.Done():
			t.Fatal("the track of a worker that goes on: ", err)
		}
	}
	h.flows(source, inbounds[0], 20)
}
