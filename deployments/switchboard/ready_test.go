package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var example = ready{
	APIBaseURL: "http://127.0.0.1:8080/v1", AppID: "an-app", AppSecret: "a-secret",
	DemoURL: "http://127.0.0.1:8080/demo/echo",
	Workers: []readyWorker{{ID: "w1-00", UDPPort: 5001}, {ID: "w2-00", UDPPort: 5002}},
}

func TestReadyAsJSONIsOneLineOfTheAgreedFields(t *testing.T) {
	var out strings.Builder
	if err := example.write(&out, "json"); err != nil {
		t.Fatal(err)
	}
	want := `{"apiBaseUrl":"http://127.0.0.1:8080/v1","appId":"an-app","appSecret":"a-secret",` +
		`"demoUrl":"http://127.0.0.1:8080/demo/echo","workers":[{"id":"w1-00","udpPort":5001},{"id":"w2-00","udpPort":5002}]}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestReadyAsText(t *testing.T) {
	r := example
	r.APIBaseURLs = []string{r.APIBaseURL, "http://127.0.0.1:8081/v1"}
	r.Workers[1].PID = 7
	r.Processes = []readyProcess{{Name: "redis-server", PID: 6}}
	var out strings.Builder
	if err := r.write(&out, "text"); err != nil {
		t.Fatal(err)
	}
	want := `
Switchboard is ready. For development only: its secret is printed here.

  API base URL  http://127.0.0.1:8080/v1
                http://127.0.0.1:8081/v1
  App id        an-app
  App secret    a-secret
  Demo          http://127.0.0.1:8080/demo/echo
  Workers       w1-00, media on UDP port 5001
                w2-00, media on UDP port 5002 (process 7)
  Processes     redis-server (process 6)

  curl -X POST -H 'Authorization: Bearer a-secret' http://127.0.0.1:8080/v1/apps/an-app/sessions/new

Ctrl-C stops it.

`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestAwaitReadyAsksUntilTheServerIs(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			http.Error(w, "no workers", http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	if err := awaitReady(t.Context(), server.URL); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
	asked.Store(-1 << 30)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := awaitReady(ctx, server.URL); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable: no workers") {
		t.Errorf("error %v does not tell the server's last answer", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestAppIsRandomUnlessGiven(t *testing.T) {
	a, err := app{}.orRandom()
	b, _ := app{}.orRandom()
	if err != nil || a.AppID == b.AppID || a.AppSecret == b.AppSecret || len(a.AppSecret) != 32 {
		t.Errorf("%+v and %+v, %v", a, b, err)
	}
	given := app{AppID: "x", AppSecret: "y"}
	if c, err := given.orRandom(); err != nil || c != given {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := (app{AppID: "not an id"}).orRandom(); err == nil {
		t.Error("a malformed id was accepted")
	}
}

func TestReachable(t *testing.T) {
	for in, want := range map[string]string{
		"127.0.0.1:80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "127.0.0.1:80", ":80": "127.0.0.1:80", "192.0.2.1:80": "192.0.2.1:80",
	} {
		if got := reachable(in); got != want {
			t.Errorf("reachable(%q) = %q, want %q", in, got, want)
		}
	}
}
