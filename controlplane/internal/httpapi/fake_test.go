package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"switchboard/api-spec/spectest"
	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi"
	"switchboard/shared/wire"
)

const (
	testApp    = "my-app"
	testSecret = "correct horse"
	session    = "7d3f2b6c90a14e58b1c2d3e4f5061728"
	publisher  = "0b5e1c7a4f3d42e69c8b7a6f5e4d3c2b"
	sdp        = "v=0\r\no=- 1 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
)

// scripted stands in for the use cases: it keeps the last call and gives the
// answer it was told to give. Its lock guards both.
type scripted struct {
	mu     sync.Mutex
	last   any
	answer func(call any) (any, error)
}

func (s *scripted) do(call any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = call
	if s.answer == nil {
		return nil, nil
	}
	return s.answer(call)
}

// called returns the last call and forgets it.
func (s *scripted) called() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last
	s.last = nil
	return last
}

func (s *scripted) say(answer func(call any) (any, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func give[T any](s *scripted, call any) (T, error) {
	answer, err := s.do(call)
	result, _ := answer.(T)
	return result, err
}

func (s *scripted) CreateSession(_ context.Context, c calls.CreateSession) (calls.CreatedSession, error) {
	return give[calls.CreatedSession](s, c)
}

func (s *scripted) Push(_ context.Context, c calls.Push) (calls.TracksResult, error) {
	return give[calls.TracksResult](s, c)
}

func (s *scripted) Pull(_ context.Context, c calls.Pull) (calls.TracksResult, error) {
	return give[calls.TracksResult](s, c)
}

func (s *scripted) Renegotiate(_ context.Context, c wire.Renegotiate) error {
	_, err := s.do(c)
	return err
}

func (s *scripted) CloseTracks(_ context.Context, c wire.TracksClose) (calls.TracksResult, error) {
	return give[calls.TracksResult](s, c)
}

func (s *scripted) Describe(_ context.Context, r wire.SessionRef) (*wire.SessionState, error) {
	return give[*wire.SessionState](s, r)
}

// harness is one edge over scripted use cases, and the specification that every
// response is held against.
type harness struct {
	spec    *spectest.Spec
	calls   *scripted
	handler http.Handler
}

func newHarness(tb testing.TB, change func(*httpapi.Options)) *harness {
	tb.Helper()
	apps, err := httpapi.NewAuthenticator([]httpapi.App{{ID: testApp, Secrets: []string{testSecret}}})
	if err != nil {
		tb.Fatal(err)
	}
	h := &harness{spec: spectest.Load(tb), calls: &scripted{}}
	o := httpapi.Options{Calls: h.calls, Apps: apps, Log: zap.NewNop()}
	if change != nil {
		change(&o)
	}
	h.handler = httpapi.New(o)
	return h
}

// request returns an authorised request; path is below the App.
func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, "/v1/apps/"+testApp+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+testSecret)
	return r
}

// send serves r, checks the response against the specification and returns it.
func (h *harness) send(tb testing.TB, r *http.Request) (int, http.Header, string) {
	tb.Helper()
	w := httptest.NewRecorder()
	h.handler.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		tb.Fatal(err)
	}
	h.spec.Check(tb, r.Method, r.URL.Path, w.Code, w.Result().Header, body)
	return w.Code, w.Result().Header, string(body)
}
