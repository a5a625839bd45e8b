package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const worker = ids.WorkerID("test-1")

var errDown = errors.New("directory is down")

// directory is a Bus whose other side is a scripted directory.
type directory struct {
	mu        sync.Mutex
	start     time.Time
	down      bool
	delay     time.Duration
	owns      map[ids.SessionID]uint64 // revs that the directory holds
	fenced    map[ids.SessionID]bool
	log       []string // "<seconds>s what"
	announced []wire.Announcement
	largest   int // bytes of the largest message
}

func newDirectory() *directory {
	return &directory{start: time.Now(), owns: map[ids.SessionID]uint64{}, fenced: map[ids.SessionID]bool{}}
}

func (d *directory) note(what string) {
	d.log = append(d.log, fmt.Sprintf("%ds %s", int(time.Since(d.start).Seconds()), what))
}

func (d *directory) Publish(subject string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch subject {
	case wire.HeartbeatSubject(worker):
		var h wire.Heartbeat
		if err := wire.Decode(data, &h); err != nil {
			return err
		}
		d.note("beat " + string(h.State))
	case wire.ByeSubject(worker):
		var b wire.Bye
		if err := wire.Decode(data, &b); err != nil {
			return err
		}
		d.note("bye " + b.Reason)
	default:
		return fmt.Errorf("unexpected subject %s", subject)
	}
	return nil
}

func (d *directory) Flush(context.Context) error { return nil }

func (d *directory) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	d.mu.Lock()
	delay := d.delay
	d.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.largest = max(d.largest, len(data))
	if d.down {
		d.note("fail " + subject)
		return nil, errDown
	}
	switch subject {
	case wire.SubjectDirectoryRenew:
		return d.renew(data)
	case wire.SubjectDirectoryAnnounce:
		return d.announce(data)
	}
	return nil, fmt.Errorf("unexpected subject %s", subject)
}

func (d *directory) renew(data []byte) ([]byte, error) {
	var m wire.Renew
	if err := wire.Decode(data, &m); err != nil {
		return nil, err
	}
	d.note(fmt.Sprintf("renew %d", len(m.Sessions)))
	var reply wire.RenewReply
	for _, s := range m.Sessions {
		rev, known := d.owns[s.Session]
		switch {
		case d.fenced[s.Session]:
			reply.Fenced = append(reply.Fenced, s.Session)
		case !known || rev < s.Rev:
			reply.Announce = append(reply.Announce, s.Session)
		}
	}
	return json.Marshal(reply)
}

func (d *directory) announce(data []byte) ([]byte, error) {
	var m wire.Announce
	if err := wire.Decode(data, &m); err != nil {
		return nil, err
	}
	d.note(fmt.Sprintf("announce %d", len(m.Sessions)))
	var reply wire.AnnounceReply
	for _, s := range m.Sessions {
		if d.fenced[s.Session] {
			reply.Fenced = append(reply.Fenced, s.Session)
			continue
		}
		d.owns[s.Session] = s.Rev
		d.announced = append(d.announced, s)
	}
	return json.Marshal(reply)
}

// take returns the log so far without heartbeats and empties it.
func (d *directory) take(beats bool) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	log := d.log
	d.log = nil
	if beats {
		return log
	}
	return slices.DeleteFunc(log, func(s string) bool { return s[len(s)-len("serving"):] == "serving" })
}

func (d *directory) set(change func(*directory)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// held is a Sessions of fixed content.
type held struct {
	mu       sync.Mutex
	sessions []wire.Announcement
	fenced   []ids.SessionID
}

func (h *held) Leases() iter.Seq[wire.Announcement] {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Values(slices.Clone(h.sessions))
}

func (h *held) Fence(sessions []ids.SessionID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fenced = append(h.fenced, sessions...)
	h.sessions = slices.DeleteFunc(h.sessions, func(a wire.Announcement) bool { return slices.Contains(sessions, a.Session) })
}

func session(i int, rev uint64, publications int) wire.Announcement {
	a := wire.Announcement{Lease: wire.Lease{
		SessionRef: wire.SessionRef{App: "app", Session: ids.SessionID(fmt.Sprintf("%032x", i))}, Rev: rev,
	}}
	for p := range publications {
		a.Publications = append(a.Publications, wire.Publication{
			TrackName: ids.TrackName(fmt.Sprintf("%0128d", p)), Mid: "0", Kind: wire.Video, Generation: 1,
		})
	}
	return a
}

// run starts a Reporter in the bubble and returns it with its stop.
func run(d *directory, h *held, state func() wire.WorkerState) (*Reporter, func()) {
	r := New(Config{Bus: d, Worker: worker, Sessions: h, Log: zap.NewNop(),
		Load: func() wire.Heartbeat { return wire.Heartbeat{State: state()} }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	synctest.Wait()
	return r, func() { cancel(); <-done }
}

func serving() wire.WorkerState { return wire.WorkerServing }

func wait(d time.Duration) { time.Sleep(d); synctest.Wait() } // the bubble's clock

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		var mu sync.Mutex
		state := wire.WorkerServing
		r, stop := run(d, &held{}, func() wire.WorkerState { mu.Lock(); defer mu.Unlock(); return state })
		expect(t, d.take(true), "0s beat serving")
		wait(2500 * time.Millisecond)
		expect(t, d.take(true), "1s beat serving", "2s beat serving")

		mu.Lock()
		state = wire.WorkerDraining
		mu.Unlock()
		r.Beat()
		wait(0)
		expect(t, d.take(true), "2s beat draining")
		wait(time.Second)
		expect(t, d.take(true), "3s beat draining")

		stop()
		r.Bye("drained")
		wait(5 * time.Second)
		expect(t, d.take(true), "3s bye drained")
	})
}

func TestHeartbeatsGoOnWhileTheDirectoryHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, h := newDirectory(), &held{sessions: []wire.Announcement{session(1, 1, 0)}}
		d.delay = time.Hour
		_, stop := run(d, h, serving)
		defer stop()
		wait(30 * time.Second)
		if n := len(d.take(true)); n != 31 {
			t.Errorf("%d heartbeats in 30 s, want 31", n)
		}
	})
}

func TestRenewAnnouncesWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		h := &held{sessions: []wire.Announcement{session(1, 4, 2), session(2, 5, 0), session(3, 6, 1)}}
		d.owns[h.sessions[0].Session] = 4
		d.owns[h.sessions[1].Session] = 4 // the directory missed a commit
		want := slices.Clone(h.sessions[1:])
		_, stop := run(d, h, serving)
		defer stop()
		wait(20 * time.Second)
		expect(t, d.take(false), "20s renew 3", "20s announce 2")
		if diff := cmp.Diff(want, d.announced); diff != "" {
			t.Errorf("announced (-want +got):\n%s", diff)
		}
		wait(20 * time.Second)
		expect(t, d.take(false), "40s renew 3")
	})
}

func TestFencedSessionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		h := &held{sessions: []wire.Announcement{session(1, 1, 0), session(2, 1, 0)}}
		lost := h.sessions[1].Session
		d.owns[h.sessions[0].Session] = 1
		d.fenced[lost] = true
		r, stop := run(d, h, serving)
		defer stop()
		wait(20 * time.Second)
		expect(t, d.take(false), "20s renew 2")
		if diff := cmp.Diff([]ids.SessionID{lost}, h.fenced); diff != "" {
			t.Errorf("fenced at renewal (-want +got):\n%s", diff)
		}

		d.set(func(d *directory) { d.fenced[session(1, 1, 0).Session] = true })
		r.Announce()
		wait(time.Second)
		expect(t, d.take(false), "20s announce 1")
		if len(h.fenced) != 2 {
			t.Errorf("fenced %v, want both sessions", h.fenced)
		}
	})
}

func TestRenewalIsRetriedEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, h := newDirectory(), &held{sessions: []wire.Announcement{session(1, 1, 0)}}
		d.down = true
		r, stop := run(d, h, serving)
		defer stop()
		wait(22 * time.Second)
		renew := "fail " + wire.SubjectDirectoryRenew
		expect(t, d.take(false), "20s "+renew, "21s "+renew, "22s "+renew)

		r.Announce()
		wait(1500 * time.Millisecond)
		announce := "fail " + wire.SubjectDirectoryAnnounce
		got := d.take(false)
		if len(got) == 0 || got[0] != "22s "+announce {
			t.Errorf("asked to announce while down: %v", got)
		}
		d.set(func(d *directory) { d.down = false })
		wait(time.Second)
		if got := d.take(false); len(got) != 2 || got[0][3:] != " announce 1" || got[1][3:] != " renew 1" {
			t.Errorf("after the directory came back: %v, want one announcement and one renewal", got)
		}
		wait(18 * time.Second)
		expect(t, d.take(false))
	})
}

func TestAnnounceInBatches(t *testing.T) {
	tests := []struct {
		name     string
		sessions []wire.Announcement
		want     []string
	}{
		{"none", nil, nil},
		{"by sessions", many(2*wire.MaxLeases+1, 0), []string{"announce 200", "announce 200", "announce 1", "renew 200", "renew 200", "renew 1"}},
		{"by publications", many(5, 400), []string{"announce 2", "announce 2", "announce 1", "renew 5"}},
		{"one session over the bound", []wire.Announcement{session(0, 1, 1500), session(1, 1, 1)}, []string{"announce 1", "announce 1", "renew 2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				r, stop := run(d, &held{sessions: test.sessions}, serving)
				defer stop()
				r.Announce()
				wait(900 * time.Millisecond)
				for i, w := range test.want {
					test.want[i] = "0s " + w
				}
				expect(t, d.take(false), test.want...)
				if d.largest >= wire.MinMaxPayload {
					t.Errorf("a message has %d bytes, NATS may allow only %d", d.largest, wire.MinMaxPayload)
				}
			})
		})
	}
}

func many(n, publications int) []wire.Announcement {
	all := make([]wire.Announcement, n)
	for i := range all {
		all[i] = session(i, 1, publications)
	}
	return all
}

func TestCPUShare(t *testing.T) {
	var m cpuMeter
	t0 := time.Unix(1000, 0)
	steps := []struct {
		at, used time.Duration
		want     float64 // of one processor, divided by their number below
	}{
		{0, 5 * time.Second, 0}, // nothing to compare with
		{time.Second, 5 * time.Second, 0},
		{2 * time.Second, 5500 * time.Millisecond, 0.5},
		{3 * time.Second, 5250 * time.Millisecond, 0}, // never negative
	}
	procs := float64(runtime.GOMAXPROCS(0))
	for _, s := range steps {
		if got := m.sample(t0.Add(s.at), s.used); got*procs != s.want {
			t.Errorf("at %v: share %v of a processor, want %v", s.at, got*procs, s.want)
		}
	}
	if got := m.sample(t0.Add(4*time.Second), time.Hour); got != 1 {
		t.Errorf("share %v, want at most 1", got)
	}
	if got := m.share(t0.Add(4*time.Second + cpuWindow/2)); got != 1 {
		t.Errorf("share %v, want the last answer within the window", got)
	}
}
