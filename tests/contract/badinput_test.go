package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// refused is the answer that a bad request must get.
type refused struct {
	status    int
	code      string
	subcode   string
	mentioned string
}

// stillWorks sends a bad request to a connected session, checks its answer, and
// then negotiates once more on that session.
func stillWorks(t *testing.T, want refused, bad func(*client) *http.Request) {
	t.Helper()
	c := newClient(t)
	c.push("first", webrtc.RTPCodecTypeAudio)
	status, _, body := call(t, bad(c))
	check(t, want, status, body)
	c.push("second", webrtc.RTPCodecTypeAudio)
	if _, state := c.do(http.MethodGet, "", nil); len(state["tracks"].([]any)) != 2 {
		t.Errorf("the session has the tracks %v, want first and second alone", state["tracks"])
	}
}

func check(t *testing.T, want refused, status int, body object) {
	t.Helper()
	got := refused{status, body.text("errorCode"), body.text("errorSubcode"), want.mentioned}
	if got != want || !strings.Contains(body.text("errorDescription"), want.mentioned) {
		t.Errorf("HTTP %d %v, want %+v", status, body, want)
	}
}

func newTracks(c *client, body any) *http.Request {
	return request(c.t, http.MethodPost, "/sessions/"+c.session+"/tracks/new", body)
}

func local(mid, name string) object {
	return object{"location": "local", "mid": mid, "trackName": name}
}

func TestMalformedJSON(t *testing.T) {
	stillWorks(t, refused{status: 400, code: "decoding_error", mentioned: "not JSON"}, func(c *client) *http.Request {
		return newTracks(c, `{"tracks":[{`)
	})
}

func TestBodyOverOneMebibyte(t *testing.T) {
	stillWorks(t, refused{status: 413, code: "payload_too_large", mentioned: "1048576"}, func(c *client) *http.Request {
		return newTracks(c, `{"padding":"`+strings.Repeat("x", 1<<20)+`"}`)
	})
}

func TestSDPOver512Kibibytes(t *testing.T) {
	stillWorks(t, refused{status: 413, code: "payload_too_large", mentioned: "524288"}, func(c *client) *http.Request {
		return newTracks(c, object{
			"sessionDescription": object{"type": "offer", "sdp": strings.Repeat("a=x\r\n", 120_000)},
			"tracks":             []any{local("1", "second")},
		})
	})
}

func TestSDPWithoutSections(t *testing.T) {
	stillWorks(t, refused{status: 406, code: "invalid_session_description"}, func(c *client) *http.Request {
		return newTracks(c, object{
			"sessionDescription": object{"type": "offer", "sdp": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"},
			"tracks":             []any{local("1", "second")},
		})
	})
}

func TestSDPThatIsNone(t *testing.T) {
	stillWorks(t, refused{status: 406, code: "invalid_session_description"}, func(c *client) *http.Request {
		return newTracks(c, object{
			"sessionDescription": object{"type": "offer", "sdp": "hello"},
			"tracks":             []any{local("1", "second")},
		})
	})
}

func TestWrongSecret(t *testing.T) {
	stillWorks(t, refused{status: 401, code: "unauthorized", mentioned: "Bearer"}, func(c *client) *http.Request {
		r := newTracks(c, object{"tracks": []any{object{"location": "local", "trackName": "x", "kind": "audio"}}})
		r.Header.Set("Authorization", "Bearer "+otherSecret)
		return r
	})
}

func TestUnknownApp(t *testing.T) {
	stillWorks(t, refused{status: 404, code: "not_found", mentioned: "App"}, func(c *client) *http.Request {
		r := newTracks(c, "{}")
		r.URL.Path = strings.Replace(r.URL.Path, "/"+app+"/", "/nobody/", 1)
		return r
	})
}

// A session of another App answers as one that does not exist, to every call.
func TestForeignSession(t *testing.T) {
	for name, bad := range map[string]struct {
		method, path string
		body         any
	}{
		"get":         {http.MethodGet, "", nil},
		"push":        {http.MethodPost, "/tracks/new", object{"tracks": []any{object{"location": "local", "trackName": "x", "kind": "audio"}}}},
		"renegotiate": {http.MethodPut, "/renegotiate", object{"sessionDescription": object{"type": "answer", "sdp": "v=0\r\n"}}},
		"close":       {http.MethodPut, "/tracks/close", object{"force": true, "tracks": []any{object{"mid": "0"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			var missing object
			stillWorks(t, refused{status: 410, code: "session_error"}, func(c *client) *http.Request {
				foreign := func(session string) *http.Request {
					r := request(t, bad.method, "/sessions/"+session+bad.path, bad.body)
					r.URL.Path = strings.Replace(r.URL.Path, "/"+app+"/", "/"+otherApp+"/", 1)
					r.Header.Set("Authorization", "Bearer "+otherSecret)
					return r
				}
				_, _, missing = call(t, foreign("00000000000000000000000000000000"))
				_, _, present := call(t, foreign(c.session))
				if missing.text("errorDescription") != present.text("errorDescription") {
					t.Errorf("a foreign session answers %v, a missing one %v", present, missing)
				}
				return foreign(c.session)
			})
		})
	}
}

// A publication of another App answers as one that does not exist.
func TestPullOfAForeignTrack(t *testing.T) {
	source := publisher(t)
	r := request(t, http.MethodPost, "/sessions/new", nil)
	r.URL.Path = "/v1/apps/" + otherApp + "/sessions/new"
	r.Header.Set("Authorization", "Bearer "+otherSecret)
	_, _, session := call(t, r)
	r = request(t, http.MethodPost, "/tracks/new", object{"tracks": []any{object{"location": "remote", "sessionId": source.session, "trackName": "mic"}}})
	r.URL.Path = "/v1/apps/" + otherApp + "/sessions/" + session.text("sessionId") + "/tracks/new"
	r.Header.Set("Authorization", "Bearer "+otherSecret)
	status, _, body := call(t, r)
	if status != http.StatusOK || body.text("tracks", 0, "errorCode") != "not_found_track_error" || body.at("tracks", 0, "mid") != nil || body.at("sessionDescription") != nil {
		t.Errorf("HTTP %d %v, want the item to be not found", status, body)
	}
}

func TestSixtyFiveTracks(t *testing.T) {
	stillWorks(t, refused{status: 406, code: "invalid_params", mentioned: "65"}, func(c *client) *http.Request {
		tracks := make([]any, 65)
		for i := range tracks {
			tracks[i] = object{"location": "remote", "sessionId": c.session, "trackName": "first"}
		}
		return newTracks(c, object{"tracks": tracks})
	})
}

func TestMissingTrackName(t *testing.T) {
	stillWorks(t, refused{status: 400, code: "decoding_error", mentioned: "1: trackName"}, func(c *client) *http.Request {
		return newTracks(c, object{"tracks": []any{
			object{"location": "remote", "sessionId": c.session, "trackName": "first"},
			object{"location": "remote", "sessionId": c.session},
		}})
	})
}

func TestPushAndPullInOneCall(t *testing.T) {
	stillWorks(t, refused{status: 406, code: "invalid_params", mentioned: "separate calls"}, func(c *client) *http.Request {
		return newTracks(c, object{"tracks": []any{
			object{"location": "local", "trackName": "a", "kind": "audio"},
			object{"location": "remote", "sessionId": c.session, "trackName": "first"},
		}})
	})
}

// A mid that the offer lacks fails its own item; the others are published.
func TestMidThatIsNotInTheOffer(t *testing.T) {
	c := newClient(t)
	mid := c.send(webrtc.RTPCodecTypeAudio)
	offer := c.offer()
	status, body := c.do(http.MethodPost, "/tracks/new", object{
		"sessionDescription": offer,
		"tracks":             []any{local("nowhere", "lost"), local(mid.Mid(), "mic")},
	})
	if status != http.StatusOK || body.text("tracks", 0, "errorCode") != "invalid_params" || body.at("tracks", 0, "mid") != nil ||
		body.text("tracks", 0, "trackName") != "lost" || body.text("tracks", 1, "mid") != mid.Mid() || body.at("tracks", 1, "errorCode") != nil {
		t.Fatalf("HTTP %d %v", status, body)
	}
	c.take(body)
	c.connected()
	c.push("second", webrtc.RTPCodecTypeAudio)
}

// While the client owes an answer its offers are refused; the answer, late, is
// still taken.
func TestOfferWhileAnAnswerIsOwed(t *testing.T) {
	source := publisher(t)
	c := newClient(t)
	c.push("first", webrtc.RTPCodecTypeAudio)
	status, owed := c.do(http.MethodPost, "/tracks/new", object{"tracks": []any{
		object{"location": "remote", "sessionId": source.session, "trackName": "mic"},
	}})
	if status != http.StatusOK || owed.at("requiresImmediateRenegotiation") != true {
		t.Fatalf("pull: HTTP %d %v", status, owed)
	}
	other := newPeerConnection(t) // an offer of the session's own would have to be rolled back
	if _, err := other.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio); err != nil {
		t.Fatal(err)
	}
	offer := (&client{t: t, pc: other}).offer()
	want := refused{status: 406, code: "invalid_session_description", subcode: "invalid_modification_have_local_offer"}
	status, body := c.do(http.MethodPost, "/tracks/new", object{"sessionDescription": offer, "tracks": []any{local("0", "late")}})
	check(t, want, status, body)
	if body.text("tracks", 0, "trackName") != "late" || body.text("tracks", 0, "errorCode") != want.code {
		t.Errorf("tracks %v, want the failed item", body["tracks"])
	}
	status, body = c.do(http.MethodPut, "/tracks/close", object{"sessionDescription": offer, "force": false, "tracks": []any{object{"mid": "0"}}})
	check(t, want, status, body)
	c.answer(owed)
	c.push("second", webrtc.RTPCodecTypeAudio)
}

func TestAnswerThatNobodyAskedFor(t *testing.T) {
	stillWorks(t, refused{status: 406, code: "invalid_session_description", subcode: "invalid_modification_stable"}, func(c *client) *http.Request {
		return request(t, http.MethodPut, "/sessions/"+c.session+"/renegotiate",
			object{"sessionDescription": object{"type": "answer", "sdp": c.pc.LocalDescription().SDP}})
	})
}

// Failed pulls leave nothing behind: clients repeat them for minutes.
func TestFailedPullLeavesNothing(t *testing.T) {
	c := newClient(t)
	c.push("first", webrtc.RTPCodecTypeAudio)
	status, body := c.do(http.MethodPost, "/tracks/new", object{"tracks": []any{
		object{"location": "remote", "sessionId": "00000000000000000000000000000000", "trackName": "mic"},
		object{"location": "remote", "sessionId": "no session id at all", "trackName": "mic"},
		object{"location": "remote", "trackName": "mic"},
	}})
	if status != http.StatusOK || body.at("requiresImmediateRenegotiation") != false || body.at("sessionDescription") != nil {
		t.Errorf("HTTP %d %v", status, body)
	}
	for i := range 3 {
		if body.text("tracks", i, "errorCode") != "not_found_track_error" || body.at("tracks", i, "mid") != nil {
			t.Errorf("item %d: %v", i, body.at("tracks", i))
		}
	}
	if _, state := c.do(http.MethodGet, "", nil); len(state["tracks"].([]any)) != 1 {
		t.Errorf("the session has the tracks %v, want first alone", state["tracks"])
	}
	c.push("second", webrtc.RTPCodecTypeAudio)
}
