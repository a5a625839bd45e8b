package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchboard/mediaworker/internal/session"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	workerID = ids.WorkerID("test-1")
	sid      = ids.SessionID("0123456789abcdef0123456789abcdef")
	patience = 10 * time.Second // of a test that waits for an answer
)

var ref = wire.SessionRef{App: "demo", Session: sid}

// registry is a Registry whose commands are executed by do.
type registry struct {
	do func(context.Context, session.Command) (wire.Message, error)

	mu   sync.Mutex
	seen []session.Command
}

func (r *registry) Do(ctx context.Context, cmd session.Command) (wire.Message, error) {
	r.mu.Lock()
	r.seen = append(r.seen, cmd)
	r.mu.Unlock()
	if r.do == nil {
		return &wire.Reply{Rev: 7}, nil
	}
	return r.do(ctx, cmd)
}

func (r *registry) Locate(app ids.AppID, session ids.SessionID) (uint64, bool) {
	return 7, app == ref.App && session == sid
}

// worker is a Worker that notes what it was told.
type worker struct{ told chan string }

func (w *worker) Drain(timeout time.Duration) { w.told <- "drain " + timeout.String() }
func (w *worker) Beat()                       { w.told <- "beat" }
func (w *worker) Announce()                   { w.told <- "announce" }
func (w *worker) Snapshot() wire.Snapshot {
	return wire.Snapshot{
		Heartbeat: wire.Heartbeat{Worker: workerID, State: wire.WorkerDraining, Sessions: 3},
		Apps:      map[ids.AppID]wire.Usage{"demo": {IngressPackets: 5}},
		Sessions:  map[ids.AppID]int{"demo": 3},
	}
}

type fixture struct {
	*Server
	nc       *nats.Conn
	registry *registry
	told     chan string
	logs     *observer.ObservedLogs
}

func start(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	testkit.NoLeaks(t)
	server := testkit.NATSServer(t)
	core, logs := observer.New(zapcore.DebugLevel)
	f := &fixture{nc: testkit.Connect(t, server, "client"), registry: &registry{}, told: make(chan string, 8), logs: logs}
	config := Config{
		Conn: testkit.Connect(t, server, "worker"), ID: workerID, Label: "test", Region: "here",
		Registry: f.registry, Worker: &worker{told: f.told}, Log: zap.New(core),
	}
	if change != nil {
		change(&config)
	}
	s, err := Serve(config)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return f
}

// send makes a request and returns the reply, and its fault if it is one.
func (f *fixture) send(t *testing.T, subject string, header nats.Header, body any) (*nats.Msg, *fault.Fault) {
	t.Helper()
	data, ok := body.([]byte)
	if !ok {
		var err error
		if data, err = wire.Encode(body); err != nil {
			t.Fatal(err)
		}
	}
	m, err := f.nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: data}, patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if got := m.Header.Get(wire.HeaderContentType); got != wire.ContentTypeJSON {
		t.Errorf("reply has Content-Type %q", got)
	}
	return m, faultIn(t, m)
}

func faultIn(t *testing.T, m *nats.Msg) *fault.Fault {
	t.Helper()
	code := m.Header.Get(micro.ErrorCodeHeader)
	if code == "" {
		return nil
	}
	var f fault.Fault
	if err := json.Unmarshal(m.Data, &f); err != nil {
		t.Fatalf("body of a fault: %v", err)
	}
	if f.Code != code || m.Header.Get(micro.ErrorHeader) != oneLine(f.Description) {
		t.Errorf("headers %v differ from the body %+v", m.Header, f)
	}
	return &f
}

func get() *wire.Get { return &wire.Get{SessionRef: ref} }

func TestEveryOperationReachesTheRegistry(t *testing.T) {
	offer := &wire.SessionDescription{Type: wire.Offer, SDP: "v=0\r\n"}
	messages := map[wire.Operation]wire.Message{
		wire.OpCreate:      &wire.Create{SessionRef: ref, SessionDescription: offer},
		wire.OpTracksNew:   &wire.TracksNew{SessionRef: ref, Create: true, SessionDescription: offer, AutoDiscover: true},
		wire.OpTracksClose: &wire.TracksClose{SessionRef: ref, Mids: []string{"0"}, Force: true},
		wire.OpRenegotiate: &wire.Renegotiate{SessionRef: ref, SessionDescription: *offer},
		wire.OpGet:         get(),
		wire.OpClose:       &wire.Close{SessionRef: ref},
	}
	f := start(t, nil)
	for _, op := range wire.Operations {
		t.Run(string(op), func(t *testing.T) {
			m, fail := f.send(t, wire.WorkerSubject(workerID, op), nats.Header{wire.HeaderCommandID: {"cmd-" + string(op)}}, messages[op])
			if fail != nil {
				t.Fatal(fail)
			}
			var reply wire.Reply
			if err := wire.Decode(m.Data, &reply); err != nil || reply.Rev != 7 {
				t.Errorf("reply %s: %v", m.Data, err)
			}
			f.registry.mu.Lock()
			defer f.registry.mu.Unlock()
			want := session.Command{ID: ids.CommandID("cmd-" + op), Op: op, Message: messages[op]}
			if diff := cmp.Diff(want, f.registry.seen[len(f.registry.seen)-1]); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCommandIDs(t *testing.T) {
	f := start(t, nil)
	subject := wire.WorkerSubject(workerID, wire.OpGet)
	for _, id := range []string{"again", "again", "", ""} {
		header := nats.Header{}
		if id != "" {
			header.Set(wire.HeaderCommandID, id)
		}
		if _, fail := f.send(t, subject, header, get()); fail != nil {
			t.Fatal(fail)
		}
	}
	seen := f.registry.seen
	if seen[0].ID != "again" || seen[1].ID != "again" {
		t.Errorf("a retry lost its id: %v, %v", seen[0].ID, seen[1].ID)
	}
	if seen[2].ID == "" || seen[2].ID == seen[3].ID {
		t.Errorf("commands without an id got %q and %q, want fresh ones", seen[2].ID, seen[3].ID)
	}
}

func TestMalformedMessages(t *testing.T) {
	valid, _ := wire.Encode(get())
	tests := []struct {
		name   string
		header nats.Header
		body   string
	}{
		{"empty", nil, ""},
		{"not JSON", nil, "{"},
		{"wrong type", nil, `{"app":7}`},
		{"no session", nil, `{"app":"demo"}`},
		{"session for a subject", nil, `{"app":"demo","session":"*"}`},
		{"command id", nats.Header{wire.HeaderCommandID: {"a b"}}, string(valid)},
		{"budget", nats.Header{wire.HeaderBudget: {"-1"}}, string(valid)},
		{"content type", nats.Header{wire.HeaderContentType: {"text/plain"}}, string(valid)},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, fail := f.send(t, wire.WorkerSubject(workerID, wire.OpGet), test.header, []byte(test.body))
			if fail == nil || !fault.DecodingError.Is(fail) {
				t.Errorf("got %v, want %s", fail, fault.DecodingError.Code)
			}
		})
	}
	for _, subject := range []string{wire.SubjectLocate, wire.ControlSubject(workerID, "drain")} {
		if _, fail := f.send(t, subject, nil, []byte("{")); fail == nil || !fault.DecodingError.Is(fail) {
			t.Errorf("%s: got %v", subject, fail)
		}
	}
	if len(f.registry.seen) != 0 {
		t.Errorf("malformed messages reached the registry: %v", f.registry.seen)
	}
}

func TestFaults(t *testing.T) {
	tests := []struct {
		name   string
		budget string
		do     func(context.Context, session.Command) (wire.Message, error)
		want   *fault.Fault
	}{
		{"fault", "", fails(fmt.Errorf("session: %w", fault.HaveNoOffer.New(""))), fault.HaveNoOffer.New("")},
		{"two lines", "", fails(fault.InvalidParams.New("one\r\n two")), fault.InvalidParams.New("one\r\n two")},
		{"internal", "", fails(errors.New("secret detail")), fault.Internal.New("")},
		{"panic", "", func(context.Context, session.Command) (wire.Message, error) { panic("defect") }, fault.Internal.New("")},
		{"out of budget", "1", func(ctx context.Context, _ session.Command) (wire.Message, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, fault.Timeout.New("")},
		{"reply over max_payload", "", func(context.Context, session.Command) (wire.Message, error) {
			return &wire.Reply{SessionDescription: &wire.SessionDescription{Type: wire.Answer, SDP: strings.Repeat("a", wire.MinMaxPayload)}}, nil
		}, fault.Internal.New("")},
	}
	f := start(t, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f.registry.do = test.do
			_, got := f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nats.Header{wire.HeaderBudget: {test.budget}}, get())
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("fault (-want +got):\n%s", diff)
			}
		})
	}
	f.registry.do = nil
	if _, fail := f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nil, get()); fail != nil {
		t.Errorf("after all faults: %v", fail)
	}
	if errs := f.logs.FilterLevelExact(zapcore.ErrorLevel).Len(); errs != 3 {
		t.Errorf("%d errors logged, want the internal error, the panic and the reply", errs)
	}
}

func fails(err error) func(context.Context, session.Command) (wire.Message, error) {
	return func(context.Context, session.Command) (wire.Message, error) { return nil, err }
}

func TestBudget(t *testing.T) {
	tests := []struct {
		header string
		want   time.Duration
	}{{"", defaultBudget}, {"2500", 2500 * time.Millisecond}, {"3600000", maxBudget}}
	f := start(t, nil)
	for _, test := range tests {
		var left time.Duration
		f.registry.do = func(ctx context.Context, _ session.Command) (wire.Message, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return &wire.Reply{}, nil
		}
		before := time.Now()
		f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nats.Header{wire.HeaderBudget: {test.header}}, get())
		if left > test.want || left < test.want-time.Since(before) {
			t.Errorf("budget %q: %v left, want %v", test.header, left, test.want)
		}
	}
}

func TestBusyWhenTooManyAreInFlight(t *testing.T) {
	f := start(t, func(c *Config) { c.MaxInFlight = 2 })
	release := make(chan struct{})
	started := make(chan struct{}, 2)
	f.registry.do = func(ctx context.Context, cmd session.Command) (wire.Message, error) {
		started <- struct{}{}
		<-release
		return &wire.Reply{Rev: 1}, nil
	}
	inbox := f.nc.NewRespInbox()
	replies, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := wire.Encode(get())
	for range 2 {
		if err := f.nc.PublishRequest(wire.WorkerSubject(workerID, wire.OpGet), inbox, body); err != nil {
			t.Fatal(err)
		}
		<-started // the first waits, and the second is served nevertheless
	}
	_, fail := f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nil, get())
	if fail == nil || !fault.WorkerBusy.Is(fail) {
		t.Errorf("third command: %v, want busy", fail)
	}
	close(release)
	for range 2 {
		if m, err := replies.NextMsg(patience); err != nil || faultIn(t, m) != nil {
			t.Fatalf("command in flight: %v %v", m, err)
		}
	}
	<-drained(f.Server)
	if _, fail := f.send(t, wire.WorkerSubject(workerID, wire.OpGet), nil, get()); fail != nil {
		t.Errorf("after the rush: %v", fail)
	}
}

// drained is closed when no command is in flight.
func drained(s *Server) <-chan struct{} {
	done := make(chan struct{})
	go func() { s.inFlight.Wait(); close(done) }()
	return done
}

func TestCloseEndsCommandsInFlight(t *testing.T) {
	f := start(t, nil)
	started := make(chan struct{})
	f.registry.do = func(ctx context.Context, _ session.Command) (wire.Message, error) {
		close(started)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	inbox := f.nc.NewRespInbox()
	replies, err := f.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := wire.Encode(get())
	if err := f.nc.PublishRequest(wire.WorkerSubject(workerID, wire.OpGet), inbox, body); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := replies.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	if fail := faultIn(t, m); fail == nil || !fault.WorkerLost.Is(fail) {
		t.Errorf("command in flight got %v, want %s", fail, fault.WorkerLost.Name)
	}
	if err := f.config.Conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.nc.Request(wire.WorkerSubject(workerID, wire.OpGet), body, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("after Close: %v, want no responders", err)
	}
}

func TestLogLinesCarryTheTrace(t *testing.T) {
	f := start(t, nil)
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	header := nats.Header{wire.HeaderTrace: {"00-" + trace + "-00f067aa0ba902b7-01"}, wire.HeaderCommandID: {"c1"}}
	f.send(t, wire.WorkerSubject(workerID, wire.OpGet), header, get())
	<-drained(f.Server)
	lines := f.logs.FilterField(zap.String("trace", trace)).FilterField(zap.String("session", string(sid))).
		FilterField(zap.String("command", "c1")).Len()
	if lines != 1 {
		t.Errorf("%d log lines with trace, session and command, want 1: %v", lines, f.logs.All())
	}
}
