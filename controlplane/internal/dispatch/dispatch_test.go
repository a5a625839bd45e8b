package dispatch

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/placement"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/obs"
	"switchboard/shared/standin"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const app = ids.AppID("app")

func startClient(t *testing.T, server *standin.NATS) *Client {
	t.Helper()
	c, err := Start(testkit.Connect(t, server, "controlplane"), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newRef() wire.SessionRef { return wire.SessionRef{App: app, Session: ids.NewSessionID()} }

func createOn(w ids.WorkerID, ref wire.SessionRef) Command {
	return Command{Worker: w, Operation: wire.OpCreate, ID: ids.NewCommandID(), Message: &wire.Create{SessionRef: ref}}
}

func TestCommandCarriesItsHeaders(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	nc := testkit.Connect(t, server, "worker")
	got := make(chan *nats.Msg, 1)
	if _, err := nc.Subscribe(wire.WorkerSubject("w1", wire.OpCreate), func(m *nats.Msg) {
		got <- m
		_ = m.Respond([]byte(`{"rev":7}`))
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	trace := obs.NewTrace()
	ctx, cancel := context.WithTimeout(obs.WithTrace(t.Context(), trace), 5*time.Second)
	defer cancel()
	cmd := createOn("w1", newRef())
	var reply wire.Reply
	if err := c.Do(ctx, cmd, &reply); err != nil || reply.Rev != 7 {
		t.Fatalf("reply %+v, error %v", reply, err)
	}
	header := (<-got).Header
	if header.Get(wire.HeaderCommandID) != string(cmd.ID) || header.Get(wire.HeaderContentType) != wire.ContentTypeJSON {
		t.Errorf("header %v", header)
	}
	if ms, err := strconv.Atoi(header.Get(wire.HeaderBudget)); err != nil || ms < 4000 || ms > 5000 {
		t.Errorf("budget %q, want the ms left of 5 s", header.Get(wire.HeaderBudget))
	}
	sent, ok := obs.ParseTrace(header.Get(wire.HeaderTrace))
	if !ok || sent.TraceID != trace.TraceID || sent.SpanID == trace.SpanID {
		t.Errorf("trace %q is not a child of %s", header.Get(wire.HeaderTrace), trace.Header())
	}
}

func TestFaultsPassThrough(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	w := testkit.StartWorker(t, server, testkit.WorkerOptions{})
	cmd := createOn(w.ID, newRef())
	cmd.Operation, cmd.Message = wire.OpRenegotiate, &wire.Renegotiate{SessionRef: newRef(), SessionDescription: wire.SessionDescription{Type: wire.Answer}}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Do(ctx, cmd, &wire.Reply{}); !fault.SessionGone.Is(err) {
		t.Errorf("error %v, want SessionGone", err)
	}
}

// The first message is lost; the second attempt repeats the command's id.
func TestLostMessageIsRepeated(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	c.attemptTimeout = 20 * time.Millisecond
	nc := testkit.Connect(t, server, "worker")
	seen := make(chan string, 10)
	lost := 2
	if _, err := nc.Subscribe(wire.WorkerSubject("w1", wire.OpCreate), func(m *nats.Msg) {
		seen <- m.Header.Get(wire.HeaderCommandID)
		if lost--; lost < 0 {
			_ = m.Respond([]byte(`{"rev":1}`))
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	cmd := createOn("w1", newRef())
	if err := c.Do(ctx, cmd, &wire.Reply{}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if id := <-seen; id != string(cmd.ID) {
			t.Errorf("attempt with id %q, want %q", id, cmd.ID)
		}
	}
}

// A worker that is slow, not lost, executes once however often it is asked.
func TestSlowCommandTakesEffectOnce(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	c.attemptTimeout = 20 * time.Millisecond
	release := make(chan struct{})
	w := testkit.StartWorker(t, server, testkit.WorkerOptions{Before: func(ctx context.Context, _ wire.Operation, _ ids.CommandID) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	var reply wire.Reply
	go func() { done <- c.Do(ctx, createOn(w.ID, newRef()), &reply) }()
	testkit.Eventually(t, "a second attempt", func() bool { return w.Received() > 1 })
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if w.Executed() != 1 || reply.Rev != 1 {
		t.Errorf("executed %d times, rev %d; want once", w.Executed(), reply.Rev)
	}
}

func TestBudgetRunsOut(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	c.attemptTimeout = 20 * time.Millisecond
	w := testkit.StartWorker(t, server, testkit.WorkerOptions{})
	w.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
	defer cancel()
	if err := c.Do(ctx, createOn(w.ID, newRef()), &wire.Reply{}); !fault.Timeout.Is(err) {
		t.Errorf("error %v, want Timeout", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := c.Do(ctx, createOn(w.ID, newRef()), &wire.Reply{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want Canceled", err)
	}
}

// Each way of a worker's death ends a command in flight long before its budget.
func TestWorkerDiesInFlight(t *testing.T) {
	deaths := map[string]func(c *Client, w *testkit.Worker){
		"goodbye":           func(_ *Client, w *testkit.Worker) { w.Bye("stopped") },
		"missed heartbeats": func(c *Client, _ *testkit.Worker) { c.workers.sweep(time.Now().Add(placement.DeadAfter)) },
		"our own end":       func(c *Client, _ *testkit.Worker) { c.Close() },
	}
	for name, die := range deaths {
		t.Run(name, func(t *testing.T) {
			server := testkit.NATSServer(t)
			c := startClient(t, server)
			held := make(chan struct{})
			w := testkit.StartWorker(t, server, testkit.WorkerOptions{Before: func(ctx context.Context, _ wire.Operation, _ ids.CommandID) {
				close(held)
				<-ctx.Done()
			}})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- c.Do(ctx, createOn(w.ID, newRef()), &wire.Reply{}) }()
			<-held
			die(c, w)
			select {
			case err := <-done:
				if !fault.WorkerLost.Is(err) {
					t.Errorf("error %v, want WorkerLost", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("the command waits on")
			}
			if !c.Dead(w.ID) {
				t.Error("the worker is not known to be dead")
			}
		})
	}
}

// A worker killed without a word ends a command at its next attempt, because
// nobody listens there any more.
func TestNoResponders(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	c.attemptTimeout = 20 * time.Millisecond
	w := testkit.StartWorker(t, server, testkit.WorkerOptions{})
	w.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	testkit.Eventually(t, "no responders", func() bool { return fault.WorkerLost.Is(c.Do(ctx, createOn(w.ID, newRef()), &wire.Reply{})) })
	if c.Dead(w.ID) {
		t.Error("no responders alone is not death: the worker may be reconnecting")
	}
}

func TestWorkersAreHeard(t *testing.T) {
	server := testkit.NATSServer(t)
	w1 := testkit.StartWorker(t, server, testkit.WorkerOptions{ID: "w1", BeatEvery: time.Hour, MaxSessions: 5, Region: "eu"})
	c := startClient(t, server) // asks those that run already
	testkit.Eventually(t, "w1 in the cluster", func() bool { return len(c.Cluster()) == 1 })
	got := c.Cluster()[0]
	got.LastBeat = time.Time{}
	if diff := cmp.Diff(placement.Worker{ID: "w1", Region: "eu", State: wire.WorkerServing, MaxSessions: 5}, got); diff != "" {
		t.Errorf("w1 (-want +got):\n%s", diff)
	}

	// A heartbeat on another worker's subject, and what is no heartbeat.
	nc := testkit.Connect(t, server, "impostor")
	for _, text := range []string{`{"worker":"w9","state":"serving"}`, `{"worker":"w2"}`, `x`} {
		if err := nc.Publish(wire.HeartbeatSubject("w2"), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish(wire.HeartbeatSubject("w3"), []byte(`{"worker":"w3","state":"serving","newField":1}`)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "w3 in the cluster", func() bool { return len(c.Cluster()) > 1 })
	if diff := cmp.Diff([]ids.WorkerID{"w1", "w3"}, members(c.Cluster())); diff != "" {
		t.Errorf("cluster (-want +got):\n%s", diff)
	}
	w1.Bye("stopped")
	testkit.Eventually(t, "w1 leaves", func() bool { return len(c.Cluster()) == 1 && c.Dead("w1") })
}

func TestLocate(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	ref := newRef()
	if _, found, err := c.Locate(t.Context(), ref); found || err != nil {
		t.Errorf("without workers: found %t, error %v", found, err)
	}
	testkit.StartWorker(t, server, testkit.WorkerOptions{})
	w := testkit.StartWorker(t, server, testkit.WorkerOptions{})
	if _, found, err := c.Locate(t.Context(), ref); found || err != nil {
		t.Errorf("nobody holds it: found %t, error %v", found, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.Do(ctx, createOn(w.ID, ref), &wire.Reply{}); err != nil {
		t.Fatal(err)
	}
	held, found, err := c.Locate(t.Context(), ref)
	if want := (wire.Located{SessionRef: ref, Worker: w.ID, Rev: 1}); !found || err != nil || held != want {
		t.Errorf("located %+v, %t, %v; want %+v", held, found, err, want)
	}
}

// leases is a directory that remembers what it was asked, or fails.
type leases struct {
	err   error
	renew *wire.Renew
}

func (l *leases) Renew(_ context.Context, r *wire.Renew) (*wire.RenewReply, error) {
	l.renew = r
	return &wire.RenewReply{Announce: []ids.SessionID{r.Sessions[0].Session}}, l.err
}

func (l *leases) Announce(context.Context, *wire.Announce) (*wire.AnnounceReply, error) {
	return &wire.AnnounceReply{}, l.err
}

func TestDirectoryIsServed(t *testing.T) {
	server := testkit.NATSServer(t)
	c := startClient(t, server)
	l := &leases{}
	if err := c.Serve(l); err != nil {
		t.Fatal(err)
	}
	nc := testkit.Connect(t, server, "worker")
	ask := func(text string, reply wire.Message) error {
		msg, err := nc.Request(wire.SubjectDirectoryRenew, []byte(text), 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return decodeReply(msg, reply)
	}
	sid := ids.NewSessionID()
	request := `{"worker":"w1","sessions":[{"app":"a","session":"` + string(sid) + `","rev":3}]}`
	var reply wire.RenewReply
	if err := ask(request, &reply); err != nil || len(reply.Announce) != 1 || reply.Announce[0] != sid {
		t.Errorf("reply %+v, error %v", reply, err)
	}
	if l.renew.Worker != "w1" || l.renew.Sessions[0].Rev != 3 {
		t.Errorf("the directory was asked %+v", l.renew)
	}
	if err := ask(`{"worker":"not a worker"}`, &reply); !fault.DecodingError.Is(err) {
		t.Errorf("malformed request: %v, want DecodingError", err)
	}
	l.err = errors.New("down")
	if err := ask(request, &reply); !fault.StoreUnavailable.Is(err) {
		t.Errorf("directory down: %v, want StoreUnavailable", err)
	}
}

// No answer of a worker may end the control plane.
func FuzzDecodeReply(f *testing.F) {
	f.Add("", []byte(`{"rev":1,"sessionDescription":{"type":"answer","sdp":"v=0"}}`))
	f.Add("session_error", []byte(`{"code":"session_error","status":410}`))
	f.Add("500", []byte(``))
	f.Fuzz(func(t *testing.T, code string, data []byte) {
		msg := nats.NewMsg("reply")
		msg.Data = data
		if code != "" {
			msg.Header.Set("Nats-Service-Error-Code", code)
		}
		var reply wire.Reply
		if err := decodeReply(msg, &reply); err == nil && code != "" {
			t.Error("an error header is no error")
		}
	})
}

// While NATS is away a command waits and is not left in a buffer; when it is
// back the command goes on and workers are asked to beat.
func TestNATSOutage(t *testing.T) {
	testkit.NoLeaks(t)
	server, err := standin.StartNATS(standin.NATSOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	url := server.ClientURL()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c, err := Start(nc, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server.Close()
	testkit.Eventually(t, "the disconnection", func() bool { return !c.Connected() })

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Do(ctx, createOn("w1", newRef()), &wire.Reply{}); !fault.Timeout.Is(err) {
		t.Errorf("error %v, want Timeout", err)
	}
	if _, _, err := c.Locate(t.Context(), newRef()); err == nil {
		t.Error("nobody could be asked, yet nobody claims the session")
	}
	done := make(chan error, 1)
	ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	go func() { done <- c.Do(ctx, createOn("w1", newRef()), &wire.Reply{}) }()
	server, err = standin.StartNATS(standin.NATSOptions{Listen: strings.TrimPrefix(url, "nats://")})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	// There is no such worker: to be told so is to have been connected.
	if err := <-done; !fault.WorkerLost.Is(err) {
		t.Errorf("error %v, want WorkerLost", err)
	}
}
