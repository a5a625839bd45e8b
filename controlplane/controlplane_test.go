package controlplane

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/standin"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// running is a control plane with its HTTP edge.
type running struct {
	*ControlPlane
	client *http.Client
	stop   context.CancelFunc
	done   chan error
}

// start runs a control plane on a cluster's parts until stop or the test's end.
func start(tb testing.TB, bus *standin.NATS, redisAddress string) *running {
	tb.Helper()
	c := valid()
	tier, err := New(c, Deps{NATS: testkit.Connect(tb, bus, "controlplane"), Redis: testkit.RedisClient(tb, redisAddress)})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{ControlPlane: tier, client: &http.Client{Transport: &http.Transport{}}, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- tier.Run(ctx) }()
	tb.Cleanup(func() {
		r.client.CloseIdleConnections()
		stop()
		select {
		case err := <-r.done:
			if err != nil {
				tb.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			tb.Error("Run does not end")
		}
	})
	select {
	case <-tier.Ready():
	case err := <-r.done:
		r.done <- err
		tb.Fatalf("Run: %v", err)
	}
	return r
}

// call makes one API call and returns its status and its JSON object.
func (r *running) call(tb testing.TB, method, path, body string) (int, map[string]any) {
	tb.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.Addr()+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer a secret")
	response, err := r.client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		tb.Fatalf("%s %s: %v in %q", method, path, err, text)
	}
	return response.StatusCode, object
}

func (r *running) session(tb testing.TB) string {
	tb.Helper()
	status, created := r.call(tb, "POST", "/v1/apps/demo/sessions/new", "")
	if status != http.StatusCreated {
		tb.Fatalf("sessions/new: %d %v", status, created)
	}
	return "/v1/apps/demo/sessions/" + created["sessionId"].(string)
}

const push = `{"sessionDescription":{"type":"offer","sdp":"v=0\r\n"},"tracks":[{"location":"local","mid":"0","trackName":"cam"}]}`

func TestRun(t *testing.T) {
	testkit.NoLeaks(t)
	bus, redisAddress := testkit.NATSServer(t), testkit.RedisServer(t).Addr()
	first, second := start(t, bus, redisAddress), start(t, bus, redisAddress)
	w := testkit.StartWorker(t, bus, testkit.WorkerOptions{})
	for _, r := range []*running{first, second} {
		awaitReady(t, r)
	}
	// Two replicas alternate on one session.
	session := first.session(t)
	status, pushed := second.call(t, "POST", session+"/tracks/new", push)
	if status != http.StatusOK || pushed["errorCode"] != nil {
		t.Fatalf("tracks/new: %d %v", status, pushed)
	}
	status, state := first.call(t, "GET", session, "")
	if tracks, _ := state["tracks"].([]any); status != http.StatusOK || len(tracks) != 1 {
		t.Errorf("GET session: %d %v", status, state)
	}
	if w.Sessions() != 1 {
		t.Errorf("the worker holds %d sessions", w.Sessions())
	}
	// Renewals are served.
	if !w.Renew() || len(w.Fenced()) != 0 {
		t.Error("the session is not renewed")
	}
}

func awaitReady(tb testing.TB, r *running) {
	tb.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-ticker.C {
		status, why := r.call(tb, "GET", "/readyz", "")
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("not ready: %v", why)
		}
	}
}

func TestNotReadyWithoutWorkers(t *testing.T) {
	r := start(t, testkit.NATSServer(t), testkit.RedisServer(t).Addr())
	if status, body := r.call(t, "GET", "/readyz", ""); status != http.StatusServiceUnavailable {
		t.Errorf("/readyz: %d %v", status, body)
	}
}

// A call that a worker holds when the control plane is told to stop is answered.
func TestShutdownFinishesCalls(t *testing.T) {
	testkit.NoLeaks(t)
	bus, redisAddress := testkit.NATSServer(t), testkit.RedisServer(t).Addr()
	r := start(t, bus, redisAddress)
	held, release := make(chan struct{}), make(chan struct{})
	testkit.StartWorker(t, bus, testkit.WorkerOptions{Before: func(context.Context, wire.Operation, ids.CommandID) {
		close(held)
		<-release
	}})
	awaitReady(t, r)
	session := r.session(t)
	answered := make(chan int, 1)
	go func() {
		status, _ := r.call(t, "POST", session+"/tracks/new", push)
		answered <- status
	}()
	<-held
	r.stop()
	close(release)
	if status := <-answered; status != http.StatusOK {
		t.Errorf("the call in flight was answered %d", status)
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Default(), Deps{}); err == nil {
		t.Error("a configuration without Apps is accepted")
	}
	if _, err := New(valid(), Deps{}); err == nil {
		t.Error("no connections are accepted")
	}
}

func TestPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := valid()
	c.Listen = listener.Addr().String()
	tier, err := New(c, Deps{NATS: testkit.NATS(t), Redis: testkit.Redis(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tier.Run(t.Context()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Run: %v, want address in use", err)
	}
}

// Neither NATS nor Redis runs: the control plane waits, and stops when told.
func TestConnectWithoutServers(t *testing.T) {
	testkit.NoLeaks(t)
	c := valid()
	c.NATS.URL, c.Redis.Addresses = "nats://127.0.0.1:1", []string{"127.0.0.1:1"}
	deps, disconnect, err := Connect(c, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer disconnect()
	tier, err := New(c, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := tier.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
	select {
	case <-tier.Ready():
		t.Error("ready without NATS")
	default:
	}
}

func TestConnectRefusesBadFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"NATS CA":    func(c *Config) { c.NATS.CA = empty },
		"Redis CA":   func(c *Config) { c.Redis.TLS, c.Redis.CA = true, empty },
		"Redis cert": func(c *Config) { c.Redis.TLS, c.Redis.Cert, c.Redis.Key = true, empty, empty },
	} {
		c := valid()
		c.NATS.URL = "nats://127.0.0.1:1"
		change(&c)
		if _, disconnect, err := Connect(c, zap.NewNop()); err == nil {
			disconnect()
			t.Errorf("%s: an empty file is accepted", name)
		}
	}
}

// fakeINFO greets one client as a nats-server whose max_payload is small.
func fakeINFO(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "INFO {\"server_id\":\"x\",\"version\":\"2.10.0\",\"proto\":1,\"headers\":true,\"max_payload\":65536}\r\n")
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if strings.Contains(string(buffer[:n]), "PING") {
				_, _ = io.WriteString(conn, "PONG\r\n")
			}
		}
	}()
	return "nats://" + listener.Addr().String()
}

func TestRefusesASmallMaxPayload(t *testing.T) {
	testkit.NoLeaks(t)
	nc, err := nats.Connect(fakeINFO(t))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	tier, err := New(valid(), Deps{NATS: nc, Redis: testkit.Redis(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := tier.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "max_payload") {
		t.Errorf("Run: %v, want an error about max_payload", err)
	}
}
