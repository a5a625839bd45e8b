package e2e_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"switchboard/tests/e2e/cluster"
	"switchboard/tests/e2e/rtcclient"
)

// Sessions that push and pull come and go: nothing of them is left. The test
// runs alone, because it counts the goroutines of the process.
func TestNothingIsLeftOfSessions(t *testing.T) {
	h := own(t, cluster.Config{ControlPlanes: 1, Workers: 1})
	round := func(sessions int) {
		t.Helper()
		errs := make([]error, sessions)
		var guests sync.WaitGroup
		for i := range sessions {
			guests.Go(func() { errs[i] = h.visit(i) })
		}
		guests.Wait()
		h.ok(errors.Join(errs...))
		h.within("sessions are gone", func() error {
			snapshot, err := h.Snapshot(h.ctx, h.Workers()[0])
			if s := snapshot.Heartbeat; err == nil && s.Sessions+s.Publications+s.Subscriptions > 0 {
				err = fmt.Errorf("%d sessions, %d publications, %d subscriptions are left", s.Sessions, s.Publications, s.Subscriptions)
			}
			return err
		})
	}
	round(12) // what is made once is made now: connections, pools
	before := runtime.NumGoroutine()
	for range 5 {
		round(12)
	}
	h.within("goroutines are gone", func() error {
		// Pools may have grown; what leaks, leaks once for each of 120 sessions.
		if after := runtime.NumGoroutine(); after > before+40 {
			return fmt.Errorf("%d goroutines, %d before", after, before)
		}
		return nil
	})
}

// visit makes two sessions, one of which pulls what the other pushes, and ends
// them, every third time with a client that is gone before.
func (h harness) visit(i int) (err error) {
	api := h.API()
	defer api.Close()
	var clients []*rtcclient.Client
	defer func() {
		for _, c := range clients {
			closed := func() { err = errors.Join(err, c.Close()) }
			if i%3 == 0 {
				closed()
				closed = func() {}
			}
			err = errors.Join(err, h.End(h.ctx, h.Workers()[0], c.Session()))
			closed()
		}
	}()
	for range 2 {
		c, err := rtcclient.New(h.ctx, api, rtcclient.Options{TCP: i%4 == 1})
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	source, err := rtcclient.NewSource(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
	if err != nil {
		return err
	}
	if err := clients[0].Push(h.ctx, source); err != nil {
		return err
	}
	inbounds, err := clients[1].Pull(h.ctx, clients[0].Published(source)...)
	if err != nil {
		return err
	}
	return inbounds[0].WaitPackets(h.ctx, 5)
}

// within repeats a check until it holds.
func (h harness) within(what string, check func() error) {
	h.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for err := check(); err != nil; err = check() {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			h.t.Fatalf("%s: %v", what, err)
		}
	}
}
