package mediaworker_test

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// holding returns a worker that holds one session, and an observer.
func holding(t *testing.T) (*run, *nats.Conn, wire.SessionRef) {
	t.Helper()
	testkit.NoLeaks(t)
	bus := testkit.NATSServer(t)
	nc := testkit.Connect(t, bus, "observer")
	w := start(t, config(), testkit.Connect(t, bus, "worker"))
	w.awaitReady(t)
	session := wire.SessionRef{App: "app", Session: ids.NewSessionID()}
	request(t, nc, wire.WorkerSubject(w.ID(), wire.OpCreate), encode(t, wire.Create{SessionRef: session}), new(wire.Reply))
	return w, nc, session
}

func encode(t *testing.T, m any) []byte {
	t.Helper()
	body, err := wire.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// refused returns the fault with which a request fails.
func refused(t *testing.T, nc *nats.Conn, subject string, m any) *fault.Fault {
	t.Helper()
	reply, err := nc.Request(subject, encode(t, m), patience)
	if err != nil {
		t.Fatal(err)
	}
	if reply.Header.Get(micro.ErrorCodeHeader) == "" {
		t.Fatalf("%s succeeded: %s", subject, reply.Data)
	}
	f := new(fault.Fault)
	if err := json.Unmarshal(reply.Data, f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDrainWaitsForTheLastSession(t *testing.T) {
	w, nc, session := holding(t)
	byes := subscribe(t, nc, wire.SubjectByes)
	var h wire.Heartbeat
	request(t, nc, wire.ControlSubject(w.ID(), "drain"), nil, &h)
	if h.Sessions != 1 || h.State != wire.WorkerDraining {
		t.Errorf("drain answered %+v", h)
	}
	beats := subscribe(t, nc, wire.HeartbeatSubject(w.ID()))
	for h.State = ""; h.State != wire.WorkerDraining; {
		next(t, beats, &h)
	}
	other := wire.Create{SessionRef: wire.SessionRef{App: "app", Session: ids.NewSessionID()}}
	if f := refused(t, nc, wire.WorkerSubject(w.ID(), wire.OpCreate), other); !fault.NoWorker.Is(f) {
		t.Errorf("a new session got %v, want %s", f, fault.NoWorker.Name)
	}
	request(t, nc, wire.WorkerSubject(w.ID(), wire.OpGet), encode(t, wire.Get{SessionRef: session}), new(wire.SessionState))

	request(t, nc, wire.WorkerSubject(w.ID(), wire.OpClose), encode(t, wire.Close{SessionRef: session}), new(wire.Reply))
	if err := w.awaitEnd(t); err != nil {
		t.Error(err)
	}
	var bye wire.Bye
	if next(t, byes, &bye); bye.Reason != "drained" {
		t.Errorf("goodbye %+v", bye)
	}
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	w, nc, _ := holding(t)
	byes := subscribe(t, nc, wire.SubjectByes)
	w.Drain() // no deadline; the next one replaces it
	request(t, nc, wire.ControlSubject(w.ID(), "drain"), []byte(`{"deadlineMs":1}`), new(wire.Heartbeat))
	if err := w.awaitEnd(t); err != nil {
		t.Error(err)
	}
	var bye wire.Bye
	if next(t, byes, &bye); bye.Reason != "drain timed out" {
		t.Errorf("goodbye %+v", bye)
	}
}

func TestAnnouncedAndFenced(t *testing.T) {
	w, nc, session := holding(t)
	announced := subscribe(t, nc, wire.SubjectDirectoryAnnounce)
	if err := nc.Publish(wire.SubjectWorkers, encode(t, wire.WorkersNotice{Announce: true})); err != nil {
		t.Fatal(err)
	}
	m, err := announced.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	var a wire.Announce
	if err := wire.Decode(m.Data, &a); err != nil {
		t.Fatal(err)
	}
	if a.Worker != w.ID() || len(a.Sessions) != 1 || a.Sessions[0].SessionRef != session {
		t.Errorf("announced %+v", a)
	}
	if err := m.Respond(encode(t, wire.AnnounceReply{Fenced: []ids.SessionID{session.Session}})); err != nil {
		t.Fatal(err)
	}
	beats := subscribe(t, nc, wire.HeartbeatSubject(w.ID()))
	for h := (wire.Heartbeat{Sessions: 1}); h.Sessions > 0; {
		next(t, beats, &h)
	}
	if f := refused(t, nc, wire.WorkerSubject(w.ID(), wire.OpGet), wire.Get{SessionRef: session}); !fault.SessionGone.Is(f) {
		t.Errorf("a fenced session got %v, want %s", f, fault.SessionGone.Name)
	}
}
