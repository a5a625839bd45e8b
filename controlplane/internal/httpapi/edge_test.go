package httpapi_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi"
	"switchboard/shared/fault"
	"switchboard/shared/obs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sum(s string) string {
	hash := sha256.Sum256([]byte(s))
	return hex.EncodeToString(hash[:])
}

func statusOf(err error) int {
	var f *fault.Fault
	if errors.As(err, &f) {
		return f.Status
	}
	return 0
}

func TestPreflight(t *testing.T) {
	h := newHarness(t, nil)
	for _, path := range []string{"/v1/apps/my-app/sessions/new", "/apps/unknown/nowhere", "/version"} {
		r := httptest.NewRequest(http.MethodOptions, path, nil)
		r.Header.Set("Origin", "https://page.example")
		r.Header.Set("Access-Control-Request-Method", "PUT")
		r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
		status, header, body := h.send(t, r)
		if status != 200 || body != "{}\n" {
			t.Errorf("%s: status %d body %q", path, status, body)
		}
		for name, words := range map[string][]string{
			"Access-Control-Allow-Origin":  {"*"},
			"Access-Control-Allow-Methods": {"GET", "POST", "PUT"},
			"Access-Control-Allow-Headers": {"authorization", "content-type"},
			"Vary":                         {"Origin"},
		} {
			for _, word := range words {
				if !strings.Contains(header.Get(name), word) {
					t.Errorf("%s: %s is %q, want %s in it", path, name, header.Get(name), word)
				}
			}
		}
	}
}

func TestRestrictedOrigins(t *testing.T) {
	h := newHarness(t, func(o *httpapi.Options) { o.CORSOrigins = []string{"https://a.example", "https://b.example"} })
	for origin, want := range map[string]string{"https://b.example": "https://b.example", "https://evil.example": "", "": ""} {
		for _, method := range []string{"OPTIONS", "POST"} {
			r := request(method, "/sessions/new", "{") // a failure needs CORS too
			r.Header.Set("Origin", origin)
			w := httptest.NewRecorder()
			h.handler.ServeHTTP(w, r)
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("%s from %q: allowed %q, want %q", method, origin, got, want)
			}
			if w.Header().Get("Vary") != "Origin" {
				t.Errorf("%s from %q: Vary is %q", method, origin, w.Header().Get("Vary"))
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	h := newHarness(t, nil)
	for sent, kept := range map[string]bool{"my-id.7_x": true, "": false, "two words": false, strings.Repeat("x", 129): false} {
		r := request("POST", "/sessions/new", "{")
		r.Header.Set("X-Request-Id", sent)
		_, header, _ := h.send(t, r)
		if got := header.Get("X-Request-Id"); (got == sent) != kept || got == "" {
			t.Errorf("sent %q, got %q", sent, got)
		}
	}
}

// traced is a use case that keeps the context it was called with.
type traced struct {
	scripted
	trace obs.Trace
}

func (c *traced) CreateSession(ctx context.Context, call calls.CreateSession) (calls.CreatedSession, error) {
	c.trace, _ = obs.TraceFrom(ctx)
	return calls.CreatedSession{Session: session}, nil
}

func TestTraceReachesTheUseCase(t *testing.T) {
	kept := &traced{}
	h := newHarness(t, func(o *httpapi.Options) { o.Calls = kept })
	r := request("POST", "/sessions/new", "")
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	h.send(t, r)
	parent, _ := obs.ParseTrace(r.Header.Get("traceparent"))
	if kept.trace.TraceID != parent.TraceID || kept.trace.SpanID == parent.SpanID {
		t.Errorf("trace %+v, want a child of %+v", kept.trace, parent)
	}
	first := kept.trace
	h.send(t, request("POST", "/sessions/new", ""))
	if !kept.trace.Valid() || kept.trace.TraceID == first.TraceID {
		t.Errorf("a request without traceparent has the trace %+v, want a fresh one", kept.trace)
	}
}

func TestEveryRequestIsLoggedOnceWithoutSecrets(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	h := newHarness(t, func(o *httpapi.Options) { o.Log = zap.New(core) })
	defect := errors.New("the cause")
	for _, tc := range []struct {
		name   string
		answer func(any) (any, error)
		level  zapcore.Level
		says   string
	}{
		{"success", func(any) (any, error) { return calls.CreatedSession{Session: session}, nil }, zapcore.InfoLevel, ""},
		{"client's fault", func(any) (any, error) { return nil, fault.SessionGone.New("") }, zapcore.InfoLevel, "session_error"},
		{"unavailable", func(any) (any, error) { return nil, fault.NoWorker.New("") }, zapcore.WarnLevel, "temporarily_unavailable_error"},
		{"defect", func(any) (any, error) { return nil, defect }, zapcore.ErrorLevel, "the cause"},
		{"client gone", func(any) (any, error) { return nil, context.Canceled }, zapcore.InfoLevel, "canceled"},
		{"panic", func(any) (any, error) { panic("boom") }, zapcore.ErrorLevel, "boom"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logs.TakeAll()
			h.calls.say(tc.answer)
			r := request("POST", "/sessions/new?token=hidden", "")
			_, header, body := h.send(t, r)
			entries := logs.TakeAll()
			if len(entries) != 1 {
				t.Fatalf("%d lines, want 1: %+v", len(entries), entries)
			}
			fields := entries[0].ContextMap()
			if entries[0].Level != tc.level || fields["requestId"] != header.Get("X-Request-Id") || fields["app"] != testApp || fields["traceId"] == "" {
				t.Errorf("%v %+v", entries[0].Level, fields)
			}
			logged, _ := fields["error"].(string)
			if !strings.Contains(logged, tc.says) {
				t.Errorf("error is %q, want %q in it", logged, tc.says)
			}
			for _, value := range fields {
				if text, ok := value.(string); ok && (strings.Contains(text, testSecret) || strings.Contains(text, "hidden")) {
					t.Errorf("a secret in the log: %s", text)
				}
			}
			if tc.level == zapcore.ErrorLevel && strings.Contains(body, tc.says) {
				t.Errorf("the client sees the defect: %s", body)
			}
		})
	}
}

func TestLogLinesAreShort(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	h := newHarness(t, func(o *httpapi.Options) { o.Log = zap.New(core) })
	long := strings.Repeat("x", 1000)
	h.send(t, httptest.NewRequest(http.MethodPost, "/v1/apps/"+long+"/sessions/"+long+"/tracks/new", nil))
	for key, value := range logs.TakeAll()[0].ContextMap() {
		if text, ok := value.(string); ok && len(text) > 300 {
			t.Errorf("%s has %d bytes in the log", key, len(text))
		}
	}
}

func TestProbes(t *testing.T) {
	var notReady error
	h := newHarness(t, func(o *httpapi.Options) {
		o.Ready = func(context.Context) error { return notReady }
		o.Version = "1.2.3"
	})
	get := func(path string) (int, string) {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	for path, want := range map[string]string{"/healthz": `"ok"`, "/readyz": `"ready"`, "/version": `"1.2.3"`, "/openapi.yaml": "openapi: 3.0.3", "/asyncapi.yaml": "asyncapi: 3.0.0", "/errors.yaml": "- name:"} {
		if status, body := get(path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: status %d: %.80s", path, status, body)
		}
	}
	notReady = errors.New("NATS is not connected")
	if status, body := get("/readyz"); status != 503 || !strings.Contains(body, "NATS is not connected") || !strings.Contains(body, "temporarily_unavailable_error") {
		t.Errorf("not ready: status %d: %s", status, body)
	}
	if status, _ := get("/healthz"); status != 200 {
		t.Errorf("health depends on readiness: status %d", status)
	}
}

func TestPagesGetWhatIsNotTheAPI(t *testing.T) {
	h := newHarness(t, func(o *httpapi.Options) {
		o.Pages = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	})
	for path, want := range map[string]int{"/": 418, "/demo/echo": 418, "/docs": 418, "/appsfoo": 418, "/v1": 404, "/v1/nowhere": 404, "//v1/nowhere": 404, "/./v1/nowhere": 404, "/x/..//apps/y": 404, "/apps": 404, "/apps/": 404, "/turn/keys/k/credentials/generate": 405, "/healthz": 200} {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
}

// serve runs a real server over h with short limits.
func serve(t *testing.T, h http.Handler, l httpapi.Limits) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, done := httpapi.Server(h, l), make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSlowHeaderIsCutOff(t *testing.T) {
	h := newHarness(t, nil)
	conn := dial(t, serve(t, h.handler, httpapi.Limits{ReadHeader: 50 * time.Millisecond}))
	if _, err := io.WriteString(conn, "POST /v1/apps/my-app/sessions/new HTTP/1.1\r\nHost: x\r\nX-Slow"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the server did not end the connection: %v", err)
	}
}

func TestSlowBodyIsAnsweredAndCutOff(t *testing.T) {
	limits := httpapi.Limits{ReadBody: 50 * time.Millisecond}
	for name, secret := range map[string]string{"authorised": testSecret, "unauthorised": "wrong"} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(o *httpapi.Options) { o.Limits = limits })
			conn := dial(t, serve(t, h.handler, limits))
			_, err := io.WriteString(conn, "POST /v1/apps/my-app/sessions/new HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+secret+"\r\nContent-Length: 100\r\n\r\n{")
			if err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			h.spec.Check(t, "POST", "/apps/my-app/sessions/new", response.StatusCode, response.Header, body)
			if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusUnauthorized {
				t.Errorf("status %d: %s", response.StatusCode, body)
			}
			if _, err := io.Copy(io.Discard, reader); err != nil {
				t.Errorf("the server did not end the connection: %v", err)
			}
		})
	}
}

// The body's deadline must not run on while a call waits, and a kept connection
// must serve again.
func TestSlowCallOutlivesTheBodyDeadline(t *testing.T) {
	limits := httpapi.Limits{ReadBody: 30 * time.Millisecond}
	waiting := &waits{until: make(chan struct{})}
	h := newHarness(t, func(o *httpapi.Options) { o.Limits, o.Calls = limits, waiting })
	conn := dial(t, serve(t, h.handler, limits))
	reader := bufio.NewReader(conn)
	for range 2 {
		if _, err := io.WriteString(conn, "POST /v1/apps/my-app/sessions/new HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+testSecret+"\r\nContent-Length: 2\r\n\r\n{}"); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(4*limits.ReadBody, func() { waiting.until <- struct{}{} })
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Errorf("status %d: %s (%v)", response.StatusCode, body, err)
		}
	}
}

// waits is a use case that takes its time, unless its context ends.
type waits struct {
	scripted
	until chan struct{}
}

func (w *waits) CreateSession(ctx context.Context, _ calls.CreateSession) (calls.CreatedSession, error) {
	select {
	case <-w.until:
		return calls.CreatedSession{Session: session}, ctx.Err()
	case <-ctx.Done():
		<-w.until
		return calls.CreatedSession{}, ctx.Err()
	}
}
