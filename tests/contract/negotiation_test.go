package contract_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"
)

// A section that is to be sent back later is answered with a sender before there
// is anything to send; what it then carries comes without SDP.
func TestBidirectionalSection(t *testing.T) {
	source := publisher(t)
	c := newClient(t)
	transceiver := c.send(webrtc.RTPCodecTypeAudio)
	offer := c.offer()
	offer["sdp"] = strings.Replace(offer.text("sdp"), "a=sendonly", "a=sendrecv", 1)
	mid := transceiver.Mid()
	status, answer := c.do(http.MethodPost, "/tracks/new", object{
		"sessionDescription": offer,
		"tracks":             []any{object{"location": "local", "mid": mid, "trackName": "user-mic", "kind": "audio", "bidirectionalMediaStream": true}},
	})
	sdp := answer.text("sessionDescription", "sdp")
	if status != http.StatusOK || !strings.Contains(sdp, "a=sendrecv\r\n") || !strings.Contains(sdp, "\r\na=msid:") {
		t.Fatalf("HTTP %d, want an answer that sends with an msid:\n%s", status, sdp)
	}
	for range 2 { // the second replaces the first
		status, answer = c.do(http.MethodPost, "/tracks/new", object{
			"tracks": []any{object{"location": "remote", "sessionId": source.session, "trackName": "mic", "mid": "#user-mic"}},
		})
		if status != http.StatusOK || answer.at("errorCode") != nil || answer.text("tracks", 0, "mid") != mid ||
			answer.at("sessionDescription") != nil || answer.at("requiresImmediateRenegotiation") != false {
			t.Errorf("pull into the section: HTTP %d %v", status, answer)
		}
	}
	status, answer = c.do(http.MethodPost, "/tracks/new", object{
		"tracks": []any{object{"location": "remote", "sessionId": source.session, "trackName": "mic", "mid": "#nothing"}},
	})
	if status != http.StatusOK || answer.text("tracks", 0, "errorCode") != "invalid_params" {
		t.Errorf("pull into a section that is none: HTTP %d %v", status, answer)
	}
}

// Texts that lost their line ends on the way are read all the same.
func TestLineEndsOfDescriptions(t *testing.T) {
	for name, mangle := range map[string]func(string) string{
		"no line end at the end": func(s string) string { return strings.TrimSuffix(s, "\r\n") },
		"line feeds only":        func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") },
	} {
		c := newClient(t)
		mid := c.send(webrtc.RTPCodecTypeAudio).Mid()
		offer := c.offer()
		offer["sdp"] = mangle(offer.text("sdp"))
		status, answer := c.do(http.MethodPost, "/tracks/new", object{
			"sessionDescription": offer, "autoDiscover": true, "tracks": []any{},
		})
		if status != http.StatusOK || answer.text("tracks", 0, "kind") != "audio" || answer.text("tracks", 0, "trackName") == "" {
			t.Errorf("%s (section %q): HTTP %d %v", name, mid, status, answer)
			continue
		}
		c.take(answer)
		c.connected()
	}
}

// What a session lists of its tracks, in force and closed.
func TestTracksOfASession(t *testing.T) {
	source := publisher(t)
	c := newClient(t)
	pushed := c.push("mine", webrtc.RTPCodecTypeAudio)
	pulled := c.pull(source.session, "camera")
	want := func(status string) {
		t.Helper()
		code, state := c.do(http.MethodGet, "", nil)
		if code != http.StatusOK {
			t.Fatalf("HTTP %d %v", code, state)
		}
		tracks, _ := state["tracks"].([]any)
		channels, isList := state["dataChannels"].([]any)
		if len(tracks) != 2 || !isList || len(channels) != 0 {
			t.Fatalf("want two tracks and no data channel: %v", state)
		}
		for i, fields := range []object{
			{"location": "local", "mid": pushed, "trackName": "mine", "kind": "audio", "status": status},
			{"location": "remote", "mid": pulled, "trackName": "camera", "sessionId": source.session, "kind": "video", "status": status},
		} {
			track := tracks[i].(map[string]any)
			for name, value := range fields {
				if track[name] != value {
					t.Errorf("track %d: %s is %v, want %v", i, name, track[name], value)
				}
			}
			if len(track) != len(fields) {
				t.Errorf("track %d is %v, want the fields of %v", i, track, fields)
			}
		}
	}
	want("active")
	status, answer := c.do(http.MethodPut, "/tracks/close", object{
		"force": true, "tracks": []any{object{"mid": pushed}, object{"mid": pulled}, object{"mid": "nothing"}},
	})
	if status != http.StatusOK || answer.at("tracks", 0, "errorCode") != nil || answer.at("tracks", 1, "errorCode") != nil ||
		answer.text("tracks", 2, "errorCode") != "close_track_error" || answer.text("tracks", 2, "mid") != "nothing" {
		t.Errorf("close: HTTP %d %v", status, answer)
	}
	want("inactive")
}

// A close always brings an answer to its offer, even where nothing was closed.
func TestCloseOfNothingIsAnswered(t *testing.T) {
	c := newClient(t)
	c.push("mic", webrtc.RTPCodecTypeAudio)
	status, answer := c.do(http.MethodPut, "/tracks/close", object{
		"force": false, "tracks": []any{object{"mid": "nothing"}}, "sessionDescription": c.offer(),
	})
	if status != http.StatusOK || answer.text("tracks", 0, "errorCode") != "close_track_error" || answer.text("sessionDescription", "type") != "answer" {
		t.Fatalf("HTTP %d %v", status, answer)
	}
	c.take(answer)
}
