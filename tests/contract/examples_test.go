package contract_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/webrtc/v4"

	"switchboard/api-spec/spectest"
)

// prepare makes ready what an example's request needs, and writes what belongs
// to this run into the request: session descriptions of a real client and the
// publisher's session. It returns the client whose session is called and, where
// the response holds SDP, what to do with it.
type prepare func(t *testing.T, request object) (c *client, then func(object))

// offered writes the client's offer into a request.
func offered(c *client, request object) {
	request["sessionDescription"] = map[string]any(c.offer())
}

// preparations by operation and example.
var preparations = map[string]prepare{
	"createSession/empty":     func(t *testing.T, _ object) (*client, func(object)) { return &client{t: t}, nil },
	"createSession/withOffer": createWithOffer,

	"getSession/pushingAndPulling": func(t *testing.T, _ object) (*client, func(object)) {
		c := newClient(t)
		c.push("camera", webrtc.RTPCodecTypeVideo)
		mid := c.pull(publisher(t).session, "camera")
		if status, body := c.do(http.MethodPut, "/tracks/close", object{"force": true, "tracks": []any{object{"mid": mid}}}); status != http.StatusOK {
			t.Fatalf("tracks/close: HTTP %d: %v", status, body)
		}
		return c, nil
	},
	"getSession/neverConnected": func(t *testing.T, _ object) (*client, func(object)) { return newClient(t), nil },

	"newTracks/pushWithOffer":              pushes(webrtc.RTPTransceiverDirectionSendonly),
	"newTracks/pushUnknownMid":             pushes(webrtc.RTPTransceiverDirectionSendonly),
	"newTracks/autoDiscover":               pushes(webrtc.RTPTransceiverDirectionSendonly),
	"newTracks/pushBidirectionalWithOffer": pushes(webrtc.RTPTransceiverDirectionSendrecv),
	"newTracks/pushSfuOffers":              answers,
	"newTracks/pushBidirectional":          answers,
	"newTracks/pullSfuOffers":              pulls,
	"newTracks/pullSimulcast":              pulls,
	"newTracks/pullPartly":                 pulls,
	"newTracks/pullNothing":                pulls,
	"newTracks/pullWithOffer": func(t *testing.T, request object) (*client, func(object)) {
		c, _ := pulls(t, request)
		c.receive(webrtc.RTPCodecTypeAudio)
		offered(c, request)
		return c, func(response object) { c.take(response); c.connected() }
	},
	"newTracks/pullIntoSection": func(t *testing.T, request object) (*client, func(object)) {
		c, _ := pulls(t, request)
		status, offer := c.do(http.MethodPost, "/tracks/new", object{"tracks": []any{
			object{"location": "local", "trackName": "conversation", "kind": "audio", "bidirectionalMediaStream": true},
		}})
		if status != http.StatusOK {
			t.Fatalf("bidirectional push: HTTP %d: %v", status, offer)
		}
		c.answer(offer)
		c.connected()
		return c, nil
	},

	"renegotiate/answer": func(t *testing.T, request object) (*client, func(object)) {
		c := newClient(t)
		status, offer := c.do(http.MethodPost, "/tracks/new", object{"tracks": []any{
			object{"location": "remote", "sessionId": publisher(t).session, "trackName": "mic"},
		}})
		if status != http.StatusOK {
			t.Fatalf("pull: HTTP %d: %v", status, offer)
		}
		request["sessionDescription"] = map[string]any(c.take(offer))
		return c, func(object) { c.connected() }
	},

	"closeTracks/force": func(t *testing.T, _ object) (*client, func(object)) {
		c := newClient(t)
		c.push("mic", webrtc.RTPCodecTypeAudio)
		return c, nil
	},
	"closeTracks/withOffer": func(t *testing.T, request object) (*client, func(object)) {
		c := newClient(t)
		c.push("mic", webrtc.RTPCodecTypeAudio)
		offered(c, request)
		return c, func(response object) { c.take(response); c.connected() }
	},
}

// publisher is a session that pushes "mic" and "camera" and is connected.
func publisher(t *testing.T) *client {
	t.Helper()
	c := newClient(t)
	c.push("mic", webrtc.RTPCodecTypeAudio)
	c.push("camera", webrtc.RTPCodecTypeVideo)
	return c
}

func createWithOffer(t *testing.T, request object) (*client, func(object)) {
	c := &client{t: t, pc: newPeerConnection(t)}
	if _, err := c.pc.CreateDataChannel("server-events", nil); err != nil {
		t.Fatal(err)
	}
	offered(c, request)
	return c, func(response object) {
		c.session = response.text("sessionId")
		c.take(response)
		c.connected()
	}
}

func pushes(direction webrtc.RTPTransceiverDirection) prepare {
	return func(t *testing.T, request object) (*client, func(object)) {
		c := newClient(t)
		if direction == webrtc.RTPTransceiverDirectionSendonly {
			c.send(webrtc.RTPCodecTypeAudio)
		} else if _, err := c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: direction}); err != nil {
			t.Fatal(err)
		}
		offered(c, request)
		return c, func(response object) { c.take(response); c.connected() }
	}
}

// answers is for a request that needs nothing and gets an offer.
func answers(t *testing.T, _ object) (*client, func(object)) {
	c := newClient(t)
	return c, func(response object) { c.answer(response); c.connected() }
}

// pulls puts a publisher's session into the request.
func pulls(t *testing.T, request object) (*client, func(object)) {
	source := publisher(t)
	list, _ := request["tracks"].([]any)
	for _, entry := range list {
		entry.(map[string]any)["sessionId"] = source.session
	}
	c := newClient(t)
	return c, func(response object) {
		if response.at("sessionDescription") != nil {
			c.answer(response)
			c.connected()
		}
	}
}

// TestExamples sends every example of the specification to the running system.
// Each response must be the example's, but for what belongs to a run.
func TestExamples(t *testing.T) {
	examples := spectest.Load(t).Examples(t)
	left := maps.Clone(preparations)
	for _, x := range examples {
		name := x.Operation + "/" + x.Name
		delete(left, name)
		t.Run(name, func(t *testing.T) {
			prepare := preparations[name]
			if prepare == nil {
				t.Fatal("nothing is known of how to run this example")
			}
			var body object
			if x.Request != nil {
				body = parse(t, x.Request)
			}
			c, then := prepare(t, body)
			path := strings.NewReplacer("/apps/{appId}", "", "{sessionId}", c.session).Replace(x.Path)
			var sent any
			if body != nil {
				sent = body
			}
			status, _, response := call(t, request(t, x.Method, path, sent))
			text, err := json.Marshal(response)
			if err != nil {
				t.Fatal(err)
			}
			if status != x.Status {
				t.Fatalf("HTTP %d, want %d: %v", status, x.Status, response)
			}
			if diff := cmp.Diff(lasting(name, parse(t, x.Response)), lasting(name, parse(t, text))); diff != "" {
				t.Errorf("(-example +response):\n%s", diff)
			}
			if then != nil {
				then(response)
			}
		})
	}
	for name := range left {
		t.Errorf("the specification has no example %s", name)
	}
}

// lasting blanks, in place, what differs from run to run. The rest, above all which
// fields are present, is compared exactly.
func lasting(name string, o object) any {
	if name == "getSession/neverConnected" {
		// How long a session has waited decides what is said of it.
		delete(o, "connectionVerdict")
		o["connectionState"] = "not connected"
	}
	return blank(map[string]any(o), strings.HasSuffix(name, "/autoDiscover"))
}

func blank(v any, discovered bool) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			switch {
			case key == "sdp", key == "sessionId", key == "errorDescription", key == "trackName" && discovered:
				v[key] = "…"
			default:
				v[key] = blank(value, discovered)
			}
		}
	case []any:
		for i := range v {
			v[i] = blank(v[i], discovered)
		}
	}
	return v
}

func parse(t *testing.T, text []byte) (o object) {
	t.Helper()
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatal(err)
	}
	return o
}
