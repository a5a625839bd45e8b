package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// What existing clients send beside the documented requests must work as if it
// were documented.

func TestContentTypes(t *testing.T) {
	for _, contentType := range []string{"", "text/plain;charset=UTF-8", "application/octet-stream"} {
		c := newClient(t)
		r := newTracks(c, object{"tracks": []any{object{"location": "local", "trackName": "mic", "kind": "audio"}}})
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if status, _, body := call(t, r); status != http.StatusOK || body.text("sessionDescription", "type") != "offer" {
			t.Errorf("%q: HTTP %d %v", contentType, status, body)
		}
	}
}

func TestUnknownFieldsAndQuery(t *testing.T) {
	c := newClient(t)
	transceiver := c.send(webrtc.RTPCodecTypeAudio)
	r := newTracks(c, object{
		"sessionDescription": c.offer(),
		"tracks":             []any{object{"location": "local", "mid": transceiver.Mid(), "trackName": "mic", "status": "x", "deep": object{"er": []any{1}}}},
		"newField":           true,
	})
	r.URL.RawQuery = "correlationId=a&streamDebug&apiExtra=%zz;"
	status, _, body := call(t, r)
	if status != http.StatusOK {
		t.Fatalf("HTTP %d %v", status, body)
	}
	c.take(body)
	c.connected()
}

func TestPrefixesAndTrailingQuestionMark(t *testing.T) {
	for _, path := range []string{"/v1/apps/", "/apps/"} {
		r := request(t, http.MethodPost, "", nil)
		r.URL.Path, r.URL.ForceQuery = path+app+"/sessions/new", true
		if status, _, body := call(t, r); status != http.StatusCreated || len(body.text("sessionId")) != 32 || len(body) != 1 {
			t.Errorf("%s: HTTP %d %v", path, status, body)
		}
	}
}

func TestPreflight(t *testing.T) {
	r := request(t, http.MethodOptions, "/sessions/new", nil)
	r.Header.Del("Authorization")
	r.Header.Set("Origin", "https://page.example")
	r.Header.Set("Access-Control-Request-Method", http.MethodPost)
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
	status, header, _ := call(t, r)
	if status != http.StatusOK || header.Get("Access-Control-Allow-Origin") != "*" || header.Get("Vary") != "Origin" {
		t.Errorf("HTTP %d %v", status, header)
	}
	for _, name := range []string{"authorization", "content-type"} {
		if !strings.Contains(header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed: %v", name, header)
		}
	}
}

func TestPathsAndMethodsThatAreNone(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		want         refused
	}{
		{http.MethodGet, "/sessions", refused{status: 404, code: "not_found"}},
		{http.MethodPost, "/sessions/new/", refused{status: 404, code: "not_found"}},
		{http.MethodPatch, "/sessions/new", refused{status: 405, code: "method_not_allowed"}},
		{http.MethodPut, "/sessions/x/tracks/update", refused{status: 501, code: "not_supported"}},
		{http.MethodPost, "/sessions/x/datachannels/new", refused{status: 501, code: "not_supported"}},
	} {
		status, _, body := call(t, request(t, tc.method, tc.path, "{}"))
		check(t, tc.want, status, body)
	}
}

// The address of a track is the pair of session and name: a client that comes
// back pushes its old names on a new session.
func TestSameTrackNameInTwoSessions(t *testing.T) {
	first, second := publisher(t), publisher(t)
	viewer := newClient(t)
	for i, session := range []string{first.session, second.session} {
		mid := viewer.pull(session, "mic")
		if i == 0 && mid != "0" {
			t.Errorf("the first pulled section is %q, want 0", mid)
		}
	}
}

// A push that is repeated after an error that the client did not see succeeds.
func TestPushIsIdempotent(t *testing.T) {
	c := newClient(t)
	mid := c.push("mic", webrtc.RTPCodecTypeAudio)
	for range 2 {
		status, body := c.do(http.MethodPost, "/tracks/new", object{"sessionDescription": c.offer(), "tracks": []any{local(mid, "mic")}})
		if status != http.StatusOK || body.text("tracks", 0, "mid") != mid {
			t.Fatalf("HTTP %d %v", status, body)
		}
		c.take(body)
	}
	status, body := c.do(http.MethodPost, "/tracks/new", object{"tracks": []any{object{"location": "local", "trackName": "mic", "kind": "audio"}}})
	if status != http.StatusOK || body.text("tracks", 0, "errorCode") != "repeated_local_track_error" || body.at("sessionDescription") != nil {
		t.Errorf("the name on another mid: HTTP %d %v", status, body)
	}
}
