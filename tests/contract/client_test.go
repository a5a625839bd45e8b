package contract_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"switchboard/api-spec/spectest"
)

// call sends one request and checks its response against the specification.
func call(t *testing.T, request *http.Request) (int, http.Header, object) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	spectest.Load(t).Check(t, request.Method, request.URL.Path, response.StatusCode, response.Header, text)
	var body object
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}

// request is authorised for the first App; path is below it. A body that is a
// string goes out as it is.
func request(t *testing.T, method, path string, body any) *http.Request {
	t.Helper()
	var content io.Reader = http.NoBody
	switch b := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		content = strings.NewReader(string(text))
	}
	r, err := http.NewRequestWithContext(t.Context(), method, base+"/v1/apps/"+app+path, content)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	return r
}

// object is a JSON object.
type object map[string]any

// at follows keys and indices into an object, to nil where there is nothing.
func (o object) at(path ...any) any {
	var here any = map[string]any(o)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := here.(map[string]any)
			here = m[step]
		case int:
			list, _ := here.([]any)
			if step >= len(list) {
				return nil
			}
			here = list[step]
		}
	}
	return here
}

func (o object) text(path ...any) string {
	s, _ := o.at(path...).(string)
	return s
}

// client is one PeerConnection of pion and one session of the first App. It
// speaks the API in plain JSON.
type client struct {
	t       *testing.T
	session string
	pc      *webrtc.PeerConnection
}

func newClient(t *testing.T) *client {
	t.Helper()
	status, _, body := call(t, request(t, http.MethodPost, "/sessions/new", nil))
	if status != http.StatusCreated {
		t.Fatalf("sessions/new: HTTP %d: %v", status, body)
	}
	c := &client{t: t, session: body.text("sessionId"), pc: newPeerConnection(t)}
	return c
}

func newPeerConnection(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).
		NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pc.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	return pc
}

// do sends a call of this session, path below it.
func (c *client) do(method, path string, body any) (int, object) {
	c.t.Helper()
	status, _, answer := call(c.t, request(c.t, method, "/sessions/"+c.session+path, body))
	return status, answer
}

// send adds a sending section whose frames flow until the test ends.
func (c *client) send(kind webrtc.RTPCodecType) *webrtc.RTPTransceiver {
	c.t.Helper()
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if kind == webrtc.RTPCodecTypeVideo {
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	}
	track, err := webrtc.NewTrackLocalStaticSample(codec, kind.String(), "client")
	if err != nil {
		c.t.Fatal(err)
	}
	transceiver, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	c.feed(track)
	return transceiver
}

// feed writes a frame every 20 ms until the test ends.
func (c *client) feed(track *webrtc.TrackLocalStaticSample) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// A VP8 keyframe's first byte is even; Opus takes any. The write
				// fails only while the transport is not up.
				_ = track.WriteSample(media.Sample{Data: []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 16, 0, 16, 0}, Duration: 20 * time.Millisecond})
			case <-ctx.Done():
				return
			}
		}
	}()
	c.t.Cleanup(func() { cancel(); <-done })
}

// receive adds a receiving section.
func (c *client) receive(kind webrtc.RTPCodecType) {
	c.t.Helper()
	if _, err := c.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		c.t.Fatal(err)
	}
}

// offer makes the client's offer, applied and without candidates, as browsers
// post it.
func (c *client) offer() object {
	c.t.Helper()
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetLocalDescription(offer); err != nil {
		c.t.Fatal(err)
	}
	return object{"type": "offer", "sdp": offer.SDP}
}

// take applies the session description of a response: an answer, or an offer,
// whose answer it returns.
func (c *client) take(response object) object {
	c.t.Helper()
	description := webrtc.SessionDescription{
		Type: webrtc.NewSDPType(response.text("sessionDescription", "type")),
		SDP:  response.text("sessionDescription", "sdp"),
	}
	if err := c.pc.SetRemoteDescription(description); err != nil {
		c.t.Fatalf("the client cannot use the server's %s: %v\n%s", description.Type, err, description.SDP)
	}
	if description.Type != webrtc.SDPTypeOffer {
		return nil
	}
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetLocalDescription(answer); err != nil {
		c.t.Fatal(err)
	}
	return object{"type": "answer", "sdp": answer.SDP}
}

// push publishes one more section and fails the test unless it works. It
// returns the section's mid.
func (c *client) push(name string, kind webrtc.RTPCodecType) string {
	c.t.Helper()
	transceiver := c.send(kind)
	offer := c.offer()
	status, answer := c.do(http.MethodPost, "/tracks/new", object{
		"sessionDescription": offer,
		"tracks":             []any{object{"location": "local", "mid": transceiver.Mid(), "trackName": name}},
	})
	if status != http.StatusOK || answer.at("tracks", 0, "errorCode") != nil || answer.text("tracks", 0, "mid") != transceiver.Mid() {
		c.t.Fatalf("push of %s: HTTP %d: %v", name, status, answer)
	}
	c.take(answer)
	c.connected()
	return transceiver.Mid()
}

// pull subscribes to one publication and fails the test unless it works. It
// returns the mid.
func (c *client) pull(session, name string) string {
	c.t.Helper()
	status, offer := c.do(http.MethodPost, "/tracks/new", object{
		"tracks": []any{object{"location": "remote", "sessionId": session, "trackName": name}},
	})
	if status != http.StatusOK || offer.at("tracks", 0, "errorCode") != nil {
		c.t.Fatalf("pull of %s: HTTP %d: %v", name, status, offer)
	}
	c.answer(offer)
	c.connected()
	return offer.text("tracks", 0, "mid")
}

// answer answers the server's offer.
func (c *client) answer(offer object) {
	c.t.Helper()
	if status, body := c.do(http.MethodPut, "/renegotiate", object{"sessionDescription": c.take(offer)}); status != http.StatusOK {
		c.t.Fatalf("renegotiate: HTTP %d: %v", status, body)
	}
}

// connected waits for the transport.
func (c *client) connected() {
	c.t.Helper()
	up := make(chan struct{}, 8)
	c.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	deadline := time.After(patience)
	for c.pc.ConnectionState() != webrtc.PeerConnectionStateConnected {
		select {
		case <-up:
		case <-deadline:
			_, state := c.do(http.MethodGet, "", nil)
			c.t.Fatalf("the client is %s; the server says %v", c.pc.ConnectionState(), state)
		}
	}
}
