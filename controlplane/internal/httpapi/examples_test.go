package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/api-spec/spectest"
	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestExamples sends every example of the specification. The use cases answer
// what the response's example says, in their own terms, and the edge must say
// exactly that example; what it asked of the use cases is golden text.
func TestExamples(t *testing.T) {
	h := newHarness(t, nil)
	var decoded strings.Builder
	for _, x := range h.spec.Examples(t) {
		t.Run(x.Operation+"/"+x.Name, func(t *testing.T) {
			h.calls.say(func(any) (any, error) { return resultOf(t, x), nil })
			status, _, body := h.send(t, request(x.Method, pathOf(x.Path), string(x.Request)))
			if status != x.Status {
				t.Fatalf("status %d, want %d: %s", status, x.Status, body)
			}
			diffJSON(t, x.Response, []byte(body))
			call := h.calls.called()
			text, err := json.MarshalIndent(call, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&decoded, "%s/%s → %T %s\n", x.Operation, x.Name, call, shortSDP(string(text)))
		})
	}
	golden(t, "testdata/decoded.golden", decoded.String())
}

// pathOf turns a path of the specification into one below the App.
func pathOf(template string) string {
	return strings.NewReplacer("/apps/{appId}", "", "{sessionId}", session).Replace(template)
}

// shortSDP cuts session descriptions to their first line.
func shortSDP(text string) string {
	for {
		head, rest, found := strings.Cut(text, `\r\no=`)
		if !found {
			return text
		}
		_, tail, _ := strings.Cut(rest, `"`)
		text = head + `…"` + tail
	}
}

// resultOf says a response example in the terms of the use cases.
func resultOf(t *testing.T, x spectest.Example) any {
	t.Helper()
	switch x.Operation {
	case "createSession":
		r := parse[openapi.NewSessionResponse](t, x.Response)
		return calls.CreatedSession{Session: ids.SessionID(r.SessionID), Answer: sdpOf(r.SessionDescription)}
	case "getSession":
		return stateOf(parse[openapi.SessionState](t, x.Response))
	case "newTracks":
		return tracksOf(parse[openapi.TracksResponse](t, x.Response))
	case "closeTracks":
		r := parse[openapi.CloseTracksResponse](t, x.Response)
		result := calls.TracksResult{Description: sdpOf(r.SessionDescription)}
		for _, item := range r.Tracks {
			result.Tracks = append(result.Tracks, wire.TrackResult{Mid: item.Mid, Fault: faultOf(item.ErrorCode, item.ErrorDescription)})
		}
		return result
	case "renegotiate":
		return nil
	}
	t.Fatalf("no translation for the operation %s", x.Operation)
	return nil
}

func tracksOf(r openapi.TracksResponse) calls.TracksResult {
	result := calls.TracksResult{Description: sdpOf(r.SessionDescription)}
	for _, item := range r.Tracks {
		result.Tracks = append(result.Tracks, wire.TrackResult{
			Mid:           deref(item.Mid),
			TrackName:     ids.TrackName(item.TrackName),
			Session:       ids.SessionID(deref(item.SessionID)),
			Kind:          wire.Kind(deref(item.Kind)),
			Bidirectional: deref(item.BidirectionalMediaStream),
			Fault:         faultOf(item.ErrorCode, item.ErrorDescription),
		})
	}
	return result
}

func stateOf(r openapi.SessionState) *wire.SessionState {
	state := &wire.SessionState{Connection: wire.ConnectionState(r.ConnectionState), Verdict: deref(r.ConnectionVerdict)}
	for _, item := range r.Tracks {
		direction := wire.DirectionPush
		if item.Location == openapi.Remote {
			direction = wire.DirectionPull
		}
		state.Tracks = append(state.Tracks, wire.TrackState{
			Direction: direction,
			Mid:       item.Mid,
			TrackName: ids.TrackName(item.TrackName),
			Session:   ids.SessionID(deref(item.SessionID)),
			Kind:      wire.Kind(deref(item.Kind)),
			Status:    wire.TrackStatus(item.Status),
		})
	}
	return state
}

func faultOf(code, description *string) *fault.Fault {
	if code == nil {
		return nil
	}
	return &fault.Fault{Code: *code, Description: *description, Status: http.StatusNotFound}
}

func sdpOf(d *openapi.SessionDescription) *wire.SessionDescription {
	if d == nil {
		return nil
	}
	return &wire.SessionDescription{Type: wire.SDPType(d.Type), SDP: d.SDP}
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// causes makes each documented failure happen, by the name of its example.
var causes = map[string]struct {
	// err is the use case's answer, where the edge does not refuse by itself.
	err error
	// body replaces the request's body.
	body string
	// change alters the request.
	change func(*http.Request)
	// status of a failure documented under "default".
	status int
}{
	"notJSON":          {body: "{"},
	"missingField":     {body: `{"sessionDescription":{"type":"offer"}}`},
	"missingTrackName": {body: `{"tracks":[{"location":"local","mid":"0"},{"location":"local","mid":"1"}]}`},
	"missingOffer":     {body: `{"tracks":[{"mid":"0"}],"force":false}`},
	"missingMid":       {body: `{"tracks":[{"mid":"0"},{}],"force":true}`},
	"tooManyTracks":    {body: `{"force":true,"tracks":[` + strings.Repeat(`{"mid":"0"},`, 64) + `{"mid":"0"}]}`},
	"wrongType":        {body: `{"sessionDescription":{"type":"answer","sdp":"v=0"}}`},
	"notAnAnswer":      {body: `{"sessionDescription":{"type":"offer","sdp":"v=0"}}`},
	"mixed":            {body: `{"tracks":[{"location":"local","mid":"0","trackName":"mic"},{"location":"remote","sessionId":"` + publisher + `","trackName":"camera"}]}`},
	"tooLarge":         {err: fault.PayloadTooLarge.New("")},
	"wrongSecret":      {change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer wrong") }},
	"unknownApp":       {change: func(r *http.Request) { r.URL.Path = strings.Replace(r.URL.Path, testApp, "other-app", 1) }},
	"badSDP":           {err: fault.InvalidSessionDescription.New("The session description has no media section.")},
	"nothingToAnswer":  {err: fault.HaveNoOffer.New("")},
	"answerOwed":       {err: fault.HaveLocalOffer.New("")},
	"unknownSession":   {err: fault.SessionGone.New("")},
	"notConnected":     {err: fault.SessionNotReady.New("")},
	"rateLimited":      {err: fault.RateLimited.New("")},
	"noWorker":         {err: fault.NoWorker.New(""), status: http.StatusServiceUnavailable},
	"internal":         {err: errors.New("redis://:password@10.0.0.1 refused"), status: http.StatusInternalServerError},
}

// plain is a valid request of each operation.
var plain = map[string]string{
	"createSession": "",
	"getSession":    "",
	"newTracks":     `{"tracks":[{"location":"local","trackName":"mic","kind":"audio"}]}`,
	"closeTracks":   `{"tracks":[{"mid":"0"}],"force":true}`,
	"renegotiate":   `{"sessionDescription":{"type":"answer","sdp":"v=0"}}`,
}

// TestErrorExamples makes every documented failure happen and demands its
// example, word for word.
func TestErrorExamples(t *testing.T) {
	h := newHarness(t, nil)
	for _, x := range h.spec.ErrorExamples(t) {
		t.Run(fmt.Sprintf("%s/%d/%s", x.Operation, x.Status, x.Name), func(t *testing.T) {
			cause, known := causes[x.Name]
			if !known {
				t.Fatalf("no way is known to make %s happen", x.Name)
			}
			body := cause.body
			if body == "" {
				body = plain[x.Operation]
			}
			h.calls.say(func(any) (any, error) { return nil, cause.err })
			r := request(x.Method, pathOf(x.Path), body)
			if cause.change != nil {
				cause.change(r)
			}
			status, header, got := h.send(t, r)
			want := x.Status
			if want == 0 {
				want = cause.status
			}
			if status != want {
				t.Errorf("status %d, want %d", status, want)
			}
			if after := header.Get("Retry-After"); (after != "") != (status == 429 || status == 503) {
				t.Errorf("Retry-After is %q at status %d", after, status)
			}
			wantBody := parse[openapi.Error](t, x.Body)
			gotBody := parse[openapi.Error](t, []byte(got))
			if strings.HasSuffix(x.Path, "/new") || strings.HasSuffix(x.Path, "/close") {
				if x.Operation != "createSession" && gotBody.Tracks == nil {
					t.Error("the failure of a call over tracks has no tracks")
				}
			}
			if wantBody.Tracks == nil {
				gotBody.Tracks = nil
			}
			if diff := cmp.Diff(wantBody, gotBody); diff != "" {
				t.Errorf("body (-example +got):\n%s", diff)
			}
		})
	}
}

func parse[T any](t *testing.T, text []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func diffJSON(t *testing.T, want, got []byte) {
	t.Helper()
	if diff := cmp.Diff(parse[any](t, want), parse[any](t, got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// golden compares text with a file, or rewrites the file with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s (-want +got):\n%s", file, cmp.Diff(string(want), got))
	}
}
