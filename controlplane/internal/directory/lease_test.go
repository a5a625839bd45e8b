package directory

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestRenewAndAnnounce(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		current, behind, unknown, others := newRef(), newRef(), newRef(), newRef()
		for ref, worker := range map[wire.SessionRef]ids.WorkerID{current: "w1", behind: "w1", others: "w2"} {
			must(t, d.Create(t.Context(), ref, false, worker))
			must(t, d.Commit(t.Context(), ref, worker, reply(1, "old")))
		}
		renew := &wire.Renew{Worker: "w1", Sessions: []wire.Lease{
			{SessionRef: current, Rev: 1}, {SessionRef: behind, Rev: 3}, {SessionRef: unknown, Rev: 2}, {SessionRef: others, Rev: 9},
		}}
		want := &wire.RenewReply{Announce: []ids.SessionID{behind.Session, unknown.Session}, Fenced: []ids.SessionID{others.Session}}
		got, err := d.Renew(t.Context(), renew)
		must(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("renewal (-want +got):\n%s", diff)
		}

		announce := &wire.Announce{Worker: "w1"}
		for _, lease := range renew.Sessions {
			announce.Sessions = append(announce.Sessions, wire.Announcement{Lease: lease, Publications: *reply(1, "new").Publications})
		}
		answer, err := d.Announce(t.Context(), announce)
		must(t, err)
		if diff := cmp.Diff(&wire.AnnounceReply{Fenced: want.Fenced}, answer); diff != "" {
			t.Errorf("announcement (-want +got):\n%s", diff)
		}
		for ref, rev := range map[wire.SessionRef]uint64{current: 1, behind: 3, unknown: 2} {
			wantSession(t, d, ref, Session{Worker: "w1", Rev: rev})
			if diff := cmp.Diff(map[string]bool{"new": true}, tracks(t, d, ref)); diff != "" {
				t.Errorf("tracks (-want +got):\n%s", diff)
			}
		}
		if !tracks(t, d, others)["old"] {
			t.Error("a fenced worker changed the tracks")
		}
	})
}

// A late announcement must not undo a newer commit.
func TestStaleAnnouncement(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref := newRef()
		must(t, d.Create(t.Context(), ref, false, "w1"))
		must(t, d.Commit(t.Context(), ref, "w1", reply(5, "new")))
		_, err := d.Announce(t.Context(), &wire.Announce{Worker: "w1", Sessions: []wire.Announcement{
			{Lease: wire.Lease{SessionRef: ref, Rev: 4}, Publications: *reply(4, "old").Publications},
		}})
		must(t, err)
		wantSession(t, d, ref, Session{Worker: "w1", Rev: 5})
		if !tracks(t, d, ref)["new"] {
			t.Error("the newer list was replaced")
		}
	})
}

func TestWatch(t *testing.T) {
	server := testkit.RealRedis(t)
	d, _ := dial(t, server.Addr(), Options{})
	events := make(chan Event, 10)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Watch(ctx, func(e Event, _ error) { events <- e })
	}()
	want := func(wanted Event, settled bool) {
		t.Helper()
		select {
		case got := <-events:
			if got != wanted {
				t.Errorf("event %q, want %q", got, wanted)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("no event, want %q", wanted)
		}
		if d.Settled() != settled {
			t.Errorf("after %q: settled is %t", wanted, !settled)
		}
	}
	want(DataLost, true) // a store without a generation: workers may know what it lacks
	must(t, d.client.FlushAll(t.Context()).Err())
	want(DataLost, false)
	server.Kill()
	want(Unreachable, false)
	server.Start()
	want(Reachable, false)
	want(DataLost, false)
	stop()
	<-done

	// A second control plane that starts now has nothing to report.
	again := New(d.client, Options{})
	var w watch
	again.look(t.Context(), &w, func(e Event, err error) { t.Errorf("an intact store: %s, %v", e, err) })
	if w.generation == "" || !again.Settled() {
		t.Errorf("an intact store: generation %q, settled %t", w.generation, again.Settled())
	}
}

func TestUnavailable(t *testing.T) {
	testkit.NoLeaks(t)
	server := testkit.RealRedis(t)
	d, _ := dial(t, server.Addr(), Options{Lease: time.Second})
	ref := newRef()
	must(t, d.Create(t.Context(), ref, false, "w1"))

	server.Kill()
	for range tripAfter {
		if _, err := d.Begin(t.Context(), ref); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("no server: %v, want ErrUnavailable", err)
		}
	}
	if d.breaker.allow(time.Now()) {
		t.Error("the breaker is closed after failures in a row")
	}
	if d.Settled() {
		t.Error("an outage leaves absent entries believed")
	}

	server.Start()
	awaitCall(t, func() error { _, err := d.Begin(t.Context(), ref); return err }, ErrMissing)

	server.Freeze()
	awaitCall(t, func() error { _, err := d.Begin(t.Context(), ref); return err }, ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := d.Begin(ctx, ref)
	if err == nil {
		t.Error("a cancelled call succeeds against a frozen server")
	}
	server.Thaw()
	awaitCall(t, func() error { _, err := d.Begin(t.Context(), ref); return err }, ErrMissing)
}

// awaitCall repeats call until it fails with want.
func awaitCall(t *testing.T, call func() error, want error) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-ticker.C {
		err := call()
		if errors.Is(err, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v, want %v", err, want)
		}
	}
}

func TestBreaker(t *testing.T) {
	var b breaker
	at := time.Unix(0, 0)
	for i := range tripAfter {
		if !b.allow(at) {
			t.Fatalf("open after %d failures", i)
		}
		if open := b.record(true, at); open != (i == tripAfter-1) {
			t.Fatalf("after %d failures open is %t", i+1, open)
		}
	}
	if b.allow(at.Add(probeEvery - 1)) {
		t.Error("open: an operation was let through before its time")
	}
	if !b.allow(at.Add(probeEvery)) || b.allow(at.Add(probeEvery)) {
		t.Error("open: exactly one operation may probe")
	}
	b.record(false, at.Add(probeEvery))
	if !b.allow(at.Add(probeEvery)) {
		t.Error("a success does not close it")
	}
}

func BenchmarkDirectory(b *testing.B) {
	servers := map[string]func() string{
		"redis":    func() string { return testkit.RealRedis(b).Addr() },
		"stand-in": func() string { return testkit.RedisServer(b).Addr() },
	}
	for name, start := range servers {
		client := NewClient(ClientConfig{Addresses: []string{start()}})
		b.Cleanup(func() { _ = client.Close() })
		d := New(client, Options{})
		ref := newRef()
		if err := d.Create(b.Context(), ref, false, "w1"); err != nil {
			b.Fatal(err)
		}
		b.Run("begin/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := d.Begin(b.Context(), ref); err != nil && !errors.Is(err, ErrRateLimited) {
					b.Fatal(err)
				}
			}
		})
		rev := uint64(0)
		b.Run("commit/"+name, func(b *testing.B) {
			for b.Loop() {
				rev++
				if err := d.Commit(b.Context(), ref, "w1", reply(rev, "a", "b")); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("announce%d/%s", wire.MaxLeases, name), func(b *testing.B) {
			a := &wire.Announce{Worker: "w1"}
			for range wire.MaxLeases {
				a.Sessions = append(a.Sessions, wire.Announcement{Lease: wire.Lease{SessionRef: newRef(), Rev: 1}, Publications: *reply(1, "a", "b").Publications})
			}
			for b.Loop() {
				if _, err := d.Announce(b.Context(), a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
