package httpapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi"
	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const pushBody = `{"tracks":[{"location":"local","trackName":"mic","kind":"audio"}]}`

// pushed is a use case's answer to pushBody.
func pushed(any) (any, error) {
	return calls.TracksResult{
		Description: &wire.SessionDescription{Type: wire.Offer, SDP: sdp},
		Tracks:      []wire.TrackResult{{Mid: "0", TrackName: "mic", Kind: wire.Audio}},
	}, nil
}

func TestContentTypeIsNotLookedAt(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(pushed)
	for _, contentType := range []string{"", "text/plain;charset=UTF-8", "application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "nonsense"} {
		r := request("POST", "/sessions/"+session+"/tracks/new", pushBody)
		if contentType != "" {
			r.Header.Set("Content-Type", contentType)
		}
		if status, _, body := h.send(t, r); status != 200 {
			t.Errorf("%q: status %d: %s", contentType, status, body)
		}
	}
}

func TestBothPrefixesServe(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return calls.CreatedSession{Session: session}, nil })
	for _, prefix := range []string{"/v1/apps/", "/apps/"} {
		r := httptest.NewRequest(http.MethodPost, prefix+testApp+"/sessions/new?", nil)
		r.Header.Set("Authorization", "bearer "+testSecret)
		if status, _, body := h.send(t, r); status != 201 {
			t.Errorf("%s: status %d: %s", prefix, status, body)
		}
	}
}

func TestCreateSessionTakesEveryEmptyBody(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return calls.CreatedSession{Session: session}, nil })
	for _, body := range []string{"", " \r\n", "{}", "null", `{"sessionDescription":null}`, `{"unknown":{"deep":[1]}}`} {
		status, _, text := h.send(t, request("POST", "/sessions/new", body))
		if status != 201 {
			t.Errorf("%q: status %d: %s", body, status, text)
		}
		if diff := cmp.Diff(calls.CreateSession{App: testApp}, h.calls.called()); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", body, diff)
		}
	}
}

func TestQuery(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return calls.CreatedSession{Session: session}, nil })
	for query, want := range map[string]calls.CreateSession{
		"":                                      {App: testApp},
		"thirdparty=true":                       {App: testApp, ThirdParty: true},
		"thirdparty":                            {App: testApp, ThirdParty: true},
		"thirdparty=false&streamDebug":          {App: testApp},
		"correlationId=a&correlationId=b&x=%zz": {App: testApp, CorrelationID: "a"},
		"thirdparty=true&thirdparty=maybe;;&&=": {App: testApp, ThirdParty: true},
	} {
		status, _, body := h.send(t, request("POST", "/sessions/new?"+query, ""))
		if status != 201 {
			t.Errorf("%q: status %d: %s", query, status, body)
		}
		if diff := cmp.Diff(want, h.calls.called()); diff != "" {
			t.Errorf("%q: (-want +got):\n%s", query, diff)
		}
	}
	status, _, body := h.send(t, request("POST", "/sessions/new?thirdparty=perhaps", ""))
	if status != 406 || !strings.Contains(body, "thirdparty") {
		t.Errorf("an impossible thirdparty: status %d: %s", status, body)
	}
	h.calls.say(pushed)
	if status, _, body := h.send(t, request("POST", "/sessions/"+session+"/tracks/new?correlationId=x&apiExtra", pushBody)); status != 200 {
		t.Errorf("tracks/new with a query: status %d: %s", status, body)
	}
}

func TestPullEchoesWhatWasAskedFor(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) {
		return calls.TracksResult{
			Description: &wire.SessionDescription{Type: wire.Offer, SDP: sdp},
			Tracks:      []wire.TrackResult{{Mid: "0", TrackName: "Kamera 1", Session: publisher, Kind: wire.Video}},
		}, nil
	})
	// What a client sends that shares the response to its push, as it came.
	_, _, body := h.send(t, request("POST", "/sessions/"+session+"/tracks/new",
		`{"tracks":[{"location":"remote","sessionId":"`+publisher+`","trackName":"Kamera 1","mid":null,"kind":"video",
		"simulcast":{"preferredRid":""},"errorCode":"stale","status":"active"}]}`))
	want := `{"requiresImmediateRenegotiation":true,"sessionDescription":{"type":"offer","sdp":"v=0\r\no=- 1 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"},
		"tracks":[{"location":"remote","sessionId":"` + publisher + `","trackName":"Kamera 1","mid":"0","kind":"video","simulcast":{"preferredRid":""}}]}`
	diffJSON(t, []byte(want), []byte(body))
}

func TestPullOfAnImpossibleSessionIsTheItemsFailure(t *testing.T) {
	h := newHarness(t, nil)
	h.send(t, request("POST", "/sessions/"+session+"/tracks/new", `{"tracks":[{"location":"remote","sessionId":"no such id","trackName":"mic"},{"location":"remote","trackName":"mic"}]}`))
	got, ok := h.calls.called().(calls.Pull)
	if !ok || len(got.Tracks) != 2 || got.Tracks[0].Session != "no such id" || got.Tracks[1].Session != "" {
		t.Errorf("asked %+v, want both tracks to reach the use case", got)
	}
}

func TestRefusedRequests(t *testing.T) {
	h := newHarness(t, nil)
	tracks := "/sessions/" + session + "/tracks/new"
	local := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"location":"local","trackName":"mic","kind":"audio"},`, n), ",")
	}
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		code, says               string
	}{
		{"no body", "POST", tracks, "", 400, "decoding_error", "the body is empty"},
		{"array", "POST", tracks, "[]", 400, "decoding_error", "the body is a JSON array, want an object"},
		{"two documents", "POST", tracks, "{}{}", 400, "decoding_error", "not JSON"},
		{"wrong type of a field", "POST", tracks, `{"tracks":[{"location":"local","trackName":7}]}`, 400, "decoding_error", "tracks.trackName is a JSON number, want a string"},
		{"wrong type of tracks", "POST", tracks, `{"tracks":{}}`, 400, "decoding_error", "tracks is a JSON object, want an array"},
		{"no tracks", "POST", tracks, `{}`, 406, "invalid_params", "tracks is empty"},
		{"65 tracks", "POST", tracks, `{"tracks":[` + local(65) + `]}`, 406, "invalid_params", "65 entries, at most 64"},
		{"location missing", "POST", tracks, `{"tracks":[{"trackName":"a"}]}`, 400, "decoding_error", "tracks 0: location is missing"},
		{"location unknown", "POST", tracks, `{"tracks":[{"trackName":"a","location":"here"}]}`, 400, "decoding_error", "tracks 0: location must be"},
		{"trackName missing", "POST", tracks, `{"tracks":[` + local(1) + `,{"location":"local"},{"location":"local"}]}`, 400, "decoding_error", "tracks 1,2: trackName is missing"},
		{"trackName too long", "POST", tracks, `{"tracks":[{"location":"remote","trackName":"` + strings.Repeat("x", 129) + `"}]}`, 400, "decoding_error", "tracks 0: trackName may have 128 bytes"},
		{"push and pull", "POST", tracks, `{"tracks":[` + local(1) + `,{"location":"remote","trackName":"a"}]}`, 406, "invalid_params", "separate calls"},
		{"kind missing", "POST", tracks, `{"tracks":[{"location":"local","trackName":"a"}]}`, 400, "decoding_error", "tracks 0: kind must be"},
		{"autoDiscover without offer", "POST", tracks, `{"autoDiscover":true}`, 406, "invalid_params", "autoDiscover needs an offer"},
		{"autoDiscover of remote", "POST", tracks, `{"autoDiscover":true,"tracks":[{"location":"remote","trackName":"a"}]}`, 406, "invalid_params", "autoDiscover pushes"},
		{"ordering unknown", "POST", tracks, `{"tracks":[{"location":"remote","trackName":"a","simulcast":{"priorityOrdering":"random"}}]}`, 406, "invalid_params", "tracks 0"},
		{"sdp missing", "POST", tracks, `{"autoDiscover":true,"sessionDescription":{"type":"offer"}}`, 400, "decoding_error", "sessionDescription.sdp is missing"},
		{"type missing", "POST", tracks, `{"autoDiscover":true,"sessionDescription":{"sdp":"v=0"}}`, 400, "decoding_error", "sessionDescription.type is missing"},
		{"type unknown", "POST", tracks, `{"autoDiscover":true,"sessionDescription":{"type":"rollback","sdp":"v=0"}}`, 400, "decoding_error", "must be offer or answer"},
		{"an answer to push", "POST", tracks, `{"autoDiscover":true,"sessionDescription":{"type":"answer","sdp":"v=0"}}`, 406, "invalid_session_description", "takes an offer"},
		{"sdp over 512 KiB", "POST", tracks, `{"autoDiscover":true,"sessionDescription":{"type":"offer","sdp":"` + strings.Repeat("a", wire.MaxSDP+1) + `"}}`, 413, "payload_too_large", "524289 bytes"},
		{"body over 1 MiB", "POST", tracks, `{"x":"` + strings.Repeat("a", 1<<20) + `"}`, 413, "payload_too_large", "1048576 bytes"},
		{"too many elements", "POST", tracks, `{"tracks":[` + strings.Repeat("null,", 30_000) + `null]}`, 413, "payload_too_large", "over 20000 elements"},
		{"answer missing", "PUT", "/sessions/" + session + "/renegotiate", `{}`, 400, "decoding_error", "sessionDescription.sdp is missing"},
		{"close without tracks", "PUT", "/sessions/" + session + "/tracks/close", `{"force":true}`, 400, "decoding_error", "tracks is missing"},
		{"no session id", "POST", "/sessions/nonsense/tracks/new", pushBody, 410, "session_error", "create a new session"},
		{"upper-case session id", "GET", "/sessions/" + strings.ToUpper(session), "", 410, "session_error", "create a new session"},
		{"unknown path", "GET", "/nowhere", "", 404, "not_found", "No such endpoint"},
		{"trailing slash", "POST", "/sessions/new/", "", 404, "not_found", "No such endpoint"},
		{"wrong method", "DELETE", tracks, "", 405, "method_not_allowed", "does not answer this method"},
		{"not served", "PUT", "/sessions/" + session + "/tracks/update", "{}", 501, "not_supported", "does not serve"},
		{"not served either", "POST", "/adapters/websocket/new", "{}", 501, "not_supported", "does not serve"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, header, body := h.send(t, request(tc.method, tc.path, tc.body))
			got := parse[openapi.Error](t, []byte(body))
			if status != tc.status || got.ErrorCode != tc.code || !strings.Contains(got.ErrorDescription, tc.says) {
				t.Errorf("%d %s %q, want %d %s %q", status, got.ErrorCode, got.ErrorDescription, tc.status, tc.code, tc.says)
			}
			if call := h.calls.called(); call != nil {
				t.Errorf("the use case was called: %+v", call)
			}
			if status == 405 && header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
			// The edge keeps serving.
			h.calls.say(pushed)
			if status, _, body := h.send(t, request("POST", tracks, pushBody)); status != 200 {
				t.Errorf("afterwards: status %d: %s", status, body)
			}
			h.calls.called()
		})
	}
}

func TestFailedPushHasItsTracks(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return nil, errors.New("broken") })
	_, _, body := h.send(t, request("POST", "/sessions/"+session+"/tracks/new", pushBody))
	got := parse[openapi.Error](t, []byte(body))
	if got.Tracks == nil || len(*got.Tracks) != 1 || (*got.Tracks)[0].TrackName != "mic" || (*got.Tracks)[0].Mid != nil || deref((*got.Tracks)[0].ErrorCode) != "internal_error" {
		t.Errorf("tracks = %+v, want the failed item without a mid", got.Tracks)
	}
}

// A worker that answers for fewer tracks than were asked for is broken: the
// client must not take its results for others'.
func TestResultsMustMatchTheRequest(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return calls.TracksResult{}, nil })
	for path, body := range map[string]string{"new": pushBody, "close": `{"tracks":[{"mid":"0"}],"force":true}`} {
		method := map[string]string{"new": "POST", "close": "PUT"}[path]
		if status, _, text := h.send(t, request(method, "/sessions/"+session+"/tracks/"+path, body)); status != 500 {
			t.Errorf("%s: status %d: %s", path, status, text)
		}
	}
}

func TestAuthenticator(t *testing.T) {
	apps, err := httpapi.NewAuthenticator([]httpapi.App{
		{ID: "one", Secrets: []string{"new secret", "sha256:" + sum("old secret")}},
		{ID: "two", Secrets: []string{"other"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		app, secret string
		status      int
	}{
		{"one", "new secret", 0}, {"one", "old secret", 0}, {"two", "other", 0},
		{"one", "other", 401}, {"one", "", 401}, {"one", "sha256:" + sum("old secret"), 401}, {"one", sum("old secret"), 401},
		{"three", "other", 404}, {"", "", 404},
	} {
		err := apps.Check(ids.AppID(tc.app), tc.secret)
		if got := statusOf(err); got != tc.status {
			t.Errorf("Check(%q, %q) = %v, want status %d", tc.app, tc.secret, err, tc.status)
		}
	}
	for _, bad := range [][]httpapi.App{
		{{ID: "a b", Secrets: []string{"s"}}},
		{{ID: "a"}},
		{{ID: "a", Secrets: []string{"hidden1", "hidden2", "hidden3"}}},
		{{ID: "a", Secrets: []string{""}}},
		{{ID: "a", Secrets: []string{"sha256:hidden"}}},
		{{ID: "a", Secrets: []string{"sha256:" + strings.Repeat("x", 64)}}},
		{{ID: "a", Secrets: []string{"hidden"}}, {ID: "a", Secrets: []string{"hidden"}}},
	} {
		_, err := httpapi.NewAuthenticator(bad)
		if err == nil {
			t.Errorf("accepted %+v", bad)
		} else if strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	h := newHarness(t, nil)
	h.calls.say(func(any) (any, error) { return calls.CreatedSession{Session: session}, nil })
	for header, want := range map[string]int{
		"Bearer " + testSecret: 201, "BEARER  " + testSecret: 201,
		"": 401, "Bearer": 401, "Bearer" + " ": 401, testSecret: 401, "Basic " + testSecret: 401, "Bearer " + testSecret + "x": 401,
	} {
		r := request("POST", "/sessions/new", "")
		r.Header.Set("Authorization", header)
		status, got, body := h.send(t, r)
		if status != want || (got.Get("WWW-Authenticate") != "") != (want == 401) {
			t.Errorf("%q: status %d, WWW-Authenticate %q: %s", header, status, got.Get("WWW-Authenticate"), body)
		}
	}
	if status, _, _ := h.send(t, httptest.NewRequest(http.MethodPost, "/v1/apps/other/sessions/new", nil)); status != 404 {
		t.Errorf("an unknown App: status %d, want 404", status)
	}
}
