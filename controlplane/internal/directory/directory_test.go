package directory

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const app = ids.AppID("app")

// onBoth runs a test against a real redis-server and against the stand-in, each
// with its script cache empty.
func onBoth(t *testing.T, test func(t *testing.T, d *Directory)) {
	t.Helper()
	addresses := map[string]func(t *testing.T) string{
		"redis":    func(t *testing.T) string { return testkit.RealRedis(t).Addr() },
		"stand-in": func(t *testing.T) string { return testkit.RedisServer(t).Addr() },
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			d, _ := dial(t, address(t), Options{})
			test(t, d)
		})
	}
}

func dial(t *testing.T, address string, o Options) (*Directory, redis.UniversalClient) {
	t.Helper()
	client := NewClient(ClientConfig{Addresses: []string{address}})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(client, o), client
}

func newRef() wire.SessionRef { return wire.SessionRef{App: app, Session: ids.NewSessionID()} }

func reply(rev uint64, publications ...string) *wire.Reply {
	r := &wire.Reply{Rev: rev}
	if publications != nil {
		list := []wire.Publication{}
		for i, name := range publications {
			if name != "" {
				list = append(list, wire.Publication{TrackName: ids.TrackName(name), Mid: fmt.Sprint(i), Kind: wire.Audio, Generation: 1})
			}
		}
		r.Publications = &list
	}
	return r
}

// tracks returns the names of the recorded publications.
func tracks(t *testing.T, d *Directory, ref wire.SessionRef) map[string]bool {
	t.Helper()
	names, err := d.client.HKeys(t.Context(), keys(ref.Session)[1]).Result()
	if err != nil {
		t.Fatal(err)
	}
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantSession(t *testing.T, d *Directory, ref wire.SessionRef, want Session) {
	t.Helper()
	got, err := d.Begin(t.Context(), ref)
	must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("session (-want +got):\n%s", diff)
	}
}

func TestBegin(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref := newRef()
		if _, err := d.Begin(t.Context(), ref); !errors.Is(err, ErrMissing) {
			t.Errorf("unknown session: %v, want ErrMissing", err)
		}
		must(t, d.Create(t.Context(), ref, true, ""))
		wantSession(t, d, ref, Session{ThirdParty: true})

		foreign := ref
		foreign.App = "other"
		if _, err := d.Begin(t.Context(), foreign); !errors.Is(err, ErrMissing) {
			t.Errorf("foreign App: %v, want ErrMissing", err)
		}
		placed := newRef()
		must(t, d.Create(t.Context(), placed, false, "w1"))
		wantSession(t, d, placed, Session{Worker: "w1"})
	})
}

func TestRateLimit(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref, other := newRef(), newRef()
		must(t, d.Create(t.Context(), ref, false, ""))
		must(t, d.Create(t.Context(), other, false, ""))
		began := time.Now()
		allowed := 0
		for {
			_, err := d.Begin(t.Context(), ref)
			if errors.Is(err, ErrRateLimited) {
				break
			}
			must(t, err)
			allowed++
		}
		// The burst, and what was earned meanwhile.
		most := callsBurst + int(time.Since(began).Seconds()*callsPerSecond) + 1
		if allowed < callsBurst || allowed > most {
			t.Errorf("%d calls allowed at once, want %d to %d", allowed, callsBurst, most)
		}
		if _, err := d.Begin(t.Context(), other); err != nil {
			t.Errorf("another session is limited too: %v", err)
		}
		foreign := wire.SessionRef{App: "other", Session: ref.Session}
		if _, err := d.Begin(t.Context(), foreign); !errors.Is(err, ErrMissing) {
			t.Errorf("a foreign App sees the limit: %v", err)
		}
	})
}

func TestClaim(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref := newRef()
		must(t, d.Create(t.Context(), ref, false, ""))
		steps := []struct {
			name            string
			worker, instead ids.WorkerID
			want            ids.WorkerID
		}{
			{"the first decides", "w1", "", "w1"},
			{"the second loses", "w2", "", "w1"},
			{"a repetition changes nothing", "w1", "", "w1"},
			{"it moves from the worker named", "w2", "w1", "w2"},
			{"and from no other", "w3", "w1", "w2"},
		}
		for _, s := range steps {
			got, err := d.Claim(t.Context(), ref, s.worker, s.instead)
			must(t, err)
			if got.Worker != s.want {
				t.Errorf("%s: owner %s, want %s", s.name, got.Worker, s.want)
			}
		}
		must(t, d.Commit(t.Context(), ref, "w2", reply(1)))
		got, err := d.Claim(t.Context(), ref, "w3", "w2")
		must(t, err)
		if want := (Session{Worker: "w2", Rev: 1}); got != want {
			t.Errorf("after a commit: %+v, want %+v", got, want)
		}
		if _, err := d.Claim(t.Context(), newRef(), "w1", ""); !errors.Is(err, ErrMissing) {
			t.Errorf("claim of an unknown session: %v, want ErrMissing", err)
		}
	})
}

func TestCommitOrder(t *testing.T) {
	type commit struct {
		reply   *wire.Reply
		wantRev uint64
		want    map[string]bool
	}
	none := map[string]bool{}
	a, ab, c := map[string]bool{"a": true}, map[string]bool{"a": true, "b": true}, map[string]bool{"c": true}
	tests := []struct {
		name    string
		commits []commit
	}{
		{"in order", []commit{{reply(1, "a"), 1, a}, {reply(2), 2, a}, {reply(3, "a", "b"), 3, ab}, {reply(4, ""), 4, none}}},
		{"an older list is ignored", []commit{{reply(2, "c"), 2, c}, {reply(1, "a"), 2, c}}},
		{"an older list after a newer reply without one counts", []commit{{reply(1), 1, none}, {reply(3), 1, none}, {reply(2, "a"), 2, a}}},
		{"a gap leaves rev behind, so that renewal repairs it", []commit{{reply(1, "a"), 1, a}, {reply(3), 1, a}}},
		{"a list closes a gap", []commit{{reply(1, "a"), 1, a}, {reply(4, "c"), 4, c}}},
		{"a repetition changes nothing", []commit{{reply(1, "a"), 1, a}, {reply(1, "a"), 1, a}}},
	}
	onBoth(t, func(t *testing.T, d *Directory) {
		for _, test := range tests {
			ref := newRef()
			must(t, d.Create(t.Context(), ref, false, "w1"))
			for i, c := range test.commits {
				must(t, d.Commit(t.Context(), ref, "w1", c.reply))
				session, err := d.Begin(t.Context(), ref)
				must(t, err)
				if session.Rev != c.wantRev {
					t.Errorf("%s, step %d: rev %d, want %d", test.name, i, session.Rev, c.wantRev)
				}
				if diff := cmp.Diff(c.want, tracks(t, d, ref)); diff != "" {
					t.Errorf("%s, step %d: tracks (-want +got):\n%s", test.name, i, diff)
				}
			}
		}
	})
}

func TestCommitFence(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref := newRef()
		must(t, d.Create(t.Context(), ref, false, "w1"))
		if err := d.Commit(t.Context(), ref, "w2", reply(1, "a")); !errors.Is(err, ErrFenced) {
			t.Errorf("another worker's commit: %v, want ErrFenced", err)
		}
		foreign := wire.SessionRef{App: "other", Session: ref.Session}
		if err := d.Commit(t.Context(), foreign, "w1", reply(1, "a")); !errors.Is(err, ErrFenced) {
			t.Errorf("another App's commit: %v, want ErrFenced", err)
		}
		wantSession(t, d, ref, Session{Worker: "w1"})

		// An entry that expired is restored by a reply that is complete only.
		lost := newRef()
		must(t, d.Commit(t.Context(), lost, "w1", reply(3)))
		if _, err := d.Begin(t.Context(), lost); !errors.Is(err, ErrMissing) {
			t.Errorf("half an entry was written: %v", err)
		}
		must(t, d.Commit(t.Context(), lost, "w1", reply(4, "a")))
		wantSession(t, d, lost, Session{Worker: "w1", Rev: 4})
	})
}

func TestEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		ref := newRef()
		must(t, d.Create(t.Context(), ref, false, "w1"))
		must(t, d.Commit(t.Context(), ref, "w1", reply(1, "a")))
		must(t, d.End(t.Context(), ref, "w2"))
		wantSession(t, d, ref, Session{Worker: "w1", Rev: 1})
		must(t, d.End(t.Context(), ref, "w1"))
		if _, err := d.Begin(t.Context(), ref); !errors.Is(err, ErrEnded) {
			t.Errorf("begin: %v, want ErrEnded", err)
		}
		if _, err := d.Claim(t.Context(), ref, "w2", "w1"); !errors.Is(err, ErrEnded) {
			t.Errorf("claim: %v, want ErrEnded", err)
		}
		must(t, d.Commit(t.Context(), ref, "w1", reply(2, "a")))
		if left := tracks(t, d, ref); len(left) != 0 {
			t.Errorf("tracks are left: %v", left)
		}
		owners, err := d.Owners(t.Context(), app, []ids.SessionID{ref.Session})
		must(t, err)
		if len(owners) != 0 {
			t.Errorf("an ended session has owner %v", owners)
		}
		renewed, err := d.Renew(t.Context(), &wire.Renew{Worker: "w1", Sessions: []wire.Lease{{SessionRef: ref, Rev: 2}}})
		must(t, err)
		if len(renewed.Fenced) != 1 {
			t.Errorf("renewal of an ended session: %+v, want fenced", renewed)
		}
	})
}

func TestOwners(t *testing.T) {
	onBoth(t, func(t *testing.T, d *Directory) {
		placed, unplaced, unknown, foreign := newRef(), newRef(), newRef(), wire.SessionRef{App: "other", Session: ids.NewSessionID()}
		must(t, d.Create(t.Context(), placed, false, "w1"))
		must(t, d.Create(t.Context(), unplaced, false, ""))
		must(t, d.Create(t.Context(), foreign, false, "w2"))
		owners, err := d.Owners(t.Context(), app, []ids.SessionID{unknown.Session, placed.Session, foreign.Session, unplaced.Session})
		must(t, err)
		if diff := cmp.Diff(map[ids.SessionID]ids.WorkerID{placed.Session: "w1"}, owners); diff != "" {
			t.Errorf("owners (-want +got):\n%s", diff)
		}
	})
}

func TestLeaseExpires(t *testing.T) {
	servers := map[string]string{"redis": testkit.RealRedis(t).Addr(), "stand-in": testkit.RedisServer(t).Addr()}
	for name, address := range servers {
		t.Run(name, func(t *testing.T) {
			const lease = 1500 * time.Millisecond
			d, _ := dial(t, address, Options{Lease: lease})
			idle, held := newRef(), newRef()
			must(t, d.Create(t.Context(), idle, false, ""))
			must(t, d.Create(t.Context(), held, false, "w1"))
			must(t, d.Commit(t.Context(), held, "w1", reply(1, "a")))
			ticker := time.NewTicker(lease / 6)
			defer ticker.Stop()
			for began := time.Now(); time.Since(began) < lease*4/3; <-ticker.C {
				got, err := d.Renew(t.Context(), &wire.Renew{Worker: "w1", Sessions: []wire.Lease{{SessionRef: held, Rev: 1}}})
				must(t, err)
				if diff := cmp.Diff(&wire.RenewReply{}, got); diff != "" {
					t.Fatalf("renewal (-want +got):\n%s", diff)
				}
			}
			if _, err := d.Begin(t.Context(), idle); !errors.Is(err, ErrMissing) {
				t.Errorf("a session that never negotiated outlives its lease: %v", err)
			}
			wantSession(t, d, held, Session{Worker: "w1", Rev: 1})
			if !tracks(t, d, held)["a"] {
				t.Error("the tracks' lease was not renewed")
			}
		})
	}
}
