package calls

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
	"switchboard/controlplane/internal/dispatch"
	"switchboard/controlplane/internal/placement"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/standin"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const app = ids.AppID("app")

var (
	clientOffer  = &wire.SessionDescription{Type: wire.Offer, SDP: "v=0\r\n"}
	clientAnswer = wire.SessionDescription{Type: wire.Answer, SDP: "v=0\r\n"}
	answerOfSFU  = wire.SessionDescription{Type: wire.Answer, SDP: testkit.TestAnswer}
	offerOfSFU   = wire.SessionDescription{Type: wire.Offer, SDP: testkit.TestOffer}
)

// cluster is NATS and Redis, with scripted workers and replicas of the calls.
type cluster struct {
	t       testing.TB
	nats    *standin.NATS
	address string // of Redis
	lease   time.Duration
	// patience with Redis, 0 for what is usual: a test of anything but outages
	// must not see one because its machine is busy.
	patience time.Duration
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	return &cluster{t: t, nats: testkit.NATSServer(t), address: testkit.RedisServer(t).Addr()}
}

// replica is one control plane without its HTTP edge.
type replica struct {
	*Service
	workers   *dispatch.Client
	directory *directory.Directory
}

func (c *cluster) replica(o Options) *replica {
	c.t.Helper()
	client := directory.NewClient(directory.ClientConfig{Addresses: []string{c.address}, Timeout: c.patience})
	c.t.Cleanup(func() { _ = client.Close() })
	workers, err := dispatch.Start(testkit.Connect(c.t, c.nats, "controlplane"), zap.NewNop())
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(workers.Close)
	d := directory.New(client, directory.Options{Lease: c.lease})
	if err := workers.Serve(d); err != nil {
		c.t.Fatal(err)
	}
	service, err := New(d, workers, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return &replica{service, workers, d}
}

// worker starts a worker and waits until the replicas know it.
func (c *cluster) worker(o testkit.WorkerOptions, replicas ...*replica) *testkit.Worker {
	c.t.Helper()
	w := testkit.StartWorker(c.t, c.nats, o)
	for _, r := range replicas {
		testkit.Eventually(c.t, "the replica hears the worker", func() bool {
			for _, known := range r.workers.Cluster() {
				if known.ID == w.ID {
					return true
				}
			}
			return false
		})
	}
	return w
}

// session makes a session that never negotiated.
func (r *replica) session(t testing.TB) wire.SessionRef {
	t.Helper()
	created, err := r.CreateSession(t.Context(), CreateSession{App: app})
	if err != nil {
		t.Fatal(err)
	}
	return wire.SessionRef{App: app, Session: created.Session}
}

// pushed makes a session that publishes tracks.
func (r *replica) pushed(t testing.TB, names ...ids.TrackName) wire.SessionRef {
	t.Helper()
	ref := r.session(t)
	if _, err := r.Push(t.Context(), pushOf(ref, names...)); err != nil {
		t.Fatal(err)
	}
	return ref
}

func pushOf(ref wire.SessionRef, names ...ids.TrackName) Push {
	p := Push{SessionRef: ref, Offer: clientOffer}
	for i, name := range names {
		p.Tracks = append(p.Tracks, wire.Push{Mid: string(rune('0' + i)), TrackName: name, Kind: wire.Audio})
	}
	return p
}

func pullOf(ref wire.SessionRef, keys ...ids.TrackKey) Pull {
	p := Pull{SessionRef: ref}
	for _, key := range keys {
		p.Tracks = append(p.Tracks, wire.Pull{TrackKey: key})
	}
	return p
}

func key(ref wire.SessionRef, name ids.TrackName) ids.TrackKey {
	return ids.TrackKey{Session: ref.Session, Track: name}
}

// owner returns what the directory says of a session.
func (r *replica) owner(t testing.TB, ref wire.SessionRef) directory.Session {
	t.Helper()
	session, err := r.directory.Begin(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

func wantFault(t testing.TB, err error, want *fault.Kind) {
	t.Helper()
	if !want.Is(err) {
		t.Errorf("error %v, want %s", err, want.Name)
	}
}

// wantItems checks which items failed, nil for those that did not.
func wantItems(t testing.TB, got []wire.TrackResult, want ...*fault.Kind) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d results, want %d: %+v", len(got), len(want), got)
	}
	for i, kind := range want {
		switch f := got[i].Fault; {
		case kind == nil && f != nil:
			t.Errorf("item %d failed: %v", i, f)
		case kind != nil && (f == nil || !kind.Is(f)):
			t.Errorf("item %d: fault %v, want %s", i, f, kind.Name)
		}
	}
}

// broken is a directory some of whose methods fail.
type broken struct {
	Directory
	commit error
	begin  error
}

func (b *broken) Commit(ctx context.Context, ref wire.SessionRef, w ids.WorkerID, reply *wire.Reply) error {
	if b.commit != nil {
		return b.commit
	}
	return b.Directory.Commit(ctx, ref, w, reply)
}

func (b *broken) Begin(ctx context.Context, ref wire.SessionRef) (directory.Session, error) {
	if b.begin != nil {
		return directory.Session{}, b.begin
	}
	return b.Directory.Begin(ctx, ref)
}

func (b *broken) Owners(ctx context.Context, app ids.AppID, sessions []ids.SessionID) (map[ids.SessionID]ids.WorkerID, error) {
	if b.begin != nil {
		return nil, b.begin
	}
	return b.Directory.Owners(ctx, app, sessions)
}

var errDown = errors.Join(directory.ErrUnavailable, errors.New("connection refused"))

var spread = Options{Policy: placement.Spread}
