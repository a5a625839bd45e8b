package mediaworker_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/mediaworker"
	"switchboard/shared/natsconn"
	"switchboard/shared/standin"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const patience = 20 * time.Second // of a test that waits for an event

// config is that of a worker on loopback.
func config() mediaworker.Config {
	c := mediaworker.Default()
	c.Label, c.Region = "test", "here"
	c.UDP = []string{"127.0.0.1:0"}
	c.ReceiveBuffer = 0
	return c
}

type run struct {
	*mediaworker.Worker
	cancel context.CancelFunc
	ended  chan error // gets what Run returned
}

// start runs a worker that is stopped with the test at the latest.
func start(t *testing.T, c mediaworker.Config, nc *nats.Conn) *run {
	t.Helper()
	w, err := mediaworker.New(c, mediaworker.Deps{NATS: nc, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{Worker: w, cancel: cancel, ended: make(chan error, 1)}
	stopped := make(chan struct{})
	go func() { defer close(stopped); r.ended <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	return r
}

func (r *run) awaitReady(t *testing.T) {
	t.Helper()
	select {
	case <-r.Ready():
	case err := <-r.ended:
		t.Fatalf("the worker ended: %v", err)
	case <-time.After(patience):
		t.Fatal("the worker is not ready")
	}
}

func (r *run) awaitEnd(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		t.Fatal("the worker did not end")
		return nil
	}
}

func subscribe(t *testing.T, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return sub
}

// next decodes the next message of sub into m.
func next(t *testing.T, sub *nats.Subscription, m wire.Message) {
	t.Helper()
	msg, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", sub.Subject, err)
	}
	if err := wire.Decode(msg.Data, m); err != nil {
		t.Fatal(err)
	}
}

func request(t *testing.T, nc *nats.Conn, subject string, body []byte, reply wire.Message) {
	t.Helper()
	msg, err := nc.Request(subject, body, patience)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if err := wire.Decode(msg.Data, reply); err != nil {
		t.Fatal(err)
	}
}

func TestLife(t *testing.T) {
	testkit.NoLeaks(t)
	bus := testkit.NATSServer(t)
	nc := testkit.Connect(t, bus, "observer")
	beats, byes := subscribe(t, nc, wire.SubjectHeartbeats), subscribe(t, nc, wire.SubjectByes)

	w := start(t, config(), testkit.Connect(t, bus, "worker"))
	w.awaitReady(t)
	if !strings.HasPrefix(string(w.ID()), "test-") {
		t.Errorf("id %s does not begin with the label", w.ID())
	}
	if a := w.MediaAddresses(); len(a) != 1 || !strings.HasPrefix(a[0], "127.0.0.1:") || strings.HasSuffix(a[0], ":0") {
		t.Errorf("advertised %v, want the bound socket", a)
	}
	var beat wire.Heartbeat
	next(t, beats, &beat)
	if beat.Worker != w.ID() || beat.Label != "test" || beat.Region != "here" || beat.State != wire.WorkerServing ||
		!slices.Equal(beat.MediaAddresses, w.MediaAddresses()) {
		t.Errorf("heartbeat %+v", beat)
	}
	var snapshot wire.Snapshot
	request(t, nc, wire.ControlSubject(w.ID(), "snapshot"), nil, &snapshot)
	if snapshot.Heartbeat.Worker != w.ID() || w.Snapshot().Heartbeat.Worker != w.ID() {
		t.Errorf("snapshot %+v", snapshot)
	}

	w.cancel()
	if err := w.awaitEnd(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	var bye wire.Bye
	next(t, byes, &bye)
	if bye.Worker != w.ID() || bye.Reason != "stopped" {
		t.Errorf("goodbye %+v", bye)
	}
}

func TestDrainOfAnIdleWorkerEndsIt(t *testing.T) {
	tests := map[string]func(t *testing.T, w *run, nc *nats.Conn){
		"by the process": func(_ *testing.T, w *run, _ *nats.Conn) { w.Drain(); w.Drain() },
		"over NATS": func(t *testing.T, w *run, nc *nats.Conn) {
			var h wire.Heartbeat
			request(t, nc, wire.ControlSubject(w.ID(), "drain"), []byte(`{"deadlineMs":60000}`), &h)
			if h.State != wire.WorkerDraining {
				t.Errorf("drain answered state %s", h.State)
			}
		},
	}
	for name, drain := range tests {
		t.Run(name, func(t *testing.T) {
			testkit.NoLeaks(t)
			bus := testkit.NATSServer(t)
			nc := testkit.Connect(t, bus, "observer")
			byes := subscribe(t, nc, wire.SubjectByes)
			w := start(t, config(), testkit.Connect(t, bus, "worker"))
			w.awaitReady(t)
			drain(t, w, nc)
			if err := w.awaitEnd(t); err != nil {
				t.Error(err)
			}
			var bye wire.Bye
			if next(t, byes, &bye); bye.Reason != "drained" {
				t.Errorf("goodbye %+v", bye)
			}
		})
	}
}

func TestRefusesToStart(t *testing.T) {
	t.Run("small max_payload", func(t *testing.T) {
		testkit.NoLeaks(t)
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, MaxPayload: 64 << 10, NoLog: true, NoSigs: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer s.WaitForShutdown()
		defer s.Shutdown()
		if !s.ReadyForConnections(patience) {
			t.Fatal("nats-server is not ready")
		}
		w := start(t, config(), connect(t, s.ClientURL()))
		if err := w.awaitEnd(t); err == nil || !strings.Contains(err.Error(), "max_payload") {
			t.Errorf("Run returned %v, want it to name max_payload", err)
		}
	})
	t.Run("port in use, NATS away", func(t *testing.T) {
		testkit.NoLeaks(t)
		taken, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		c := config()
		c.UDP = []string{taken.LocalAddr().String()}
		w := start(t, c, connect(t, "nats://"+freeAddress(t)))
		if err := w.awaitEnd(t); err == nil || !strings.Contains(err.Error(), c.UDP[0]) {
			t.Errorf("Run returned %v, want it to name %s", err, c.UDP[0])
		}
	})
	t.Run("address that no socket has", func(t *testing.T) {
		testkit.NoLeaks(t)
		c := config()
		c.Advertise = []string{"2001:db8::1"}
		w := start(t, c, testkit.NATS(t))
		if err := w.awaitEnd(t); err == nil || !strings.Contains(err.Error(), "2001:db8::1") {
			t.Errorf("Run returned %v", err)
		}
	})
}

func TestDrainWhileNATSIsAwayEndsTheWorker(t *testing.T) {
	testkit.NoLeaks(t)
	w := start(t, config(), connect(t, "nats://"+freeAddress(t)))
	w.Drain()
	if err := w.awaitEnd(t); err != nil {
		t.Error(err)
	}
}

// A worker may start before NATS does, and outlives its restart.
func TestNATSComesAndGoes(t *testing.T) {
	testkit.NoLeaks(t)
	address := freeAddress(t)
	w := start(t, config(), connect(t, "nats://"+address))

	for _, turn := range []string{"first start", "restart"} {
		bus, err := standin.StartNATS(standin.NATSOptions{Listen: address})
		if err != nil {
			t.Fatal(err)
		}
		nc, err := bus.Connect("observer")
		if err != nil {
			t.Fatal(err)
		}
		var beat wire.Heartbeat
		next(t, subscribe(t, nc, wire.HeartbeatSubject(w.ID())), &beat)
		w.awaitReady(t)
		var snapshot wire.Snapshot
		request(t, nc, wire.ControlSubject(w.ID(), "snapshot"), nil, &snapshot)
		if beat.Worker != w.ID() || snapshot.Heartbeat.Worker != w.ID() {
			t.Errorf("%s: heartbeat %+v, snapshot %+v", turn, beat, snapshot)
		}
		nc.Close()
		bus.Close()
	}
	w.cancel() // the goodbye cannot be sent, which keeps nobody
	if err := w.awaitEnd(t); err != nil {
		t.Error(err)
	}
}

// connect returns a connection as the binary makes it.
func connect(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := natsconn.Connect(natsconn.Config{URL: url}, t.Name(), zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	closed := nc.StatusChanged(nats.CLOSED)
	t.Cleanup(func() { nc.Close(); <-closed })
	return nc
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
