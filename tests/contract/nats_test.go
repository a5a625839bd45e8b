package contract_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pion/webrtc/v4"

	"switchboard/api-spec/spectest"
)

// byNATS drives a worker as asyncapi.yaml describes it: plain JSON on plain
// subjects, nothing of this project's code.
type byNATS struct {
	t      *testing.T
	spec   *spectest.Async
	conn   *nats.Conn
	worker string
}

// findWorker asks for heartbeats and takes the worker that serves.
func findWorker(t *testing.T) *byNATS {
	t.Helper()
	conn, err := nats.Connect(bus)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	d := &byNATS{t: t, spec: spectest.LoadAsync(t), conn: conn}
	beats, err := conn.SubscribeSync("sfu.v1.evt.worker.*.heartbeat")
	if err != nil {
		t.Fatal(err)
	}
	notice := []byte(`{"heartbeat":true}`)
	d.spec.Check(t, "workersNotice", notice)
	if err := conn.Publish("sfu.v1.ctl.workers", notice); err != nil {
		t.Fatal(err)
	}
	beat, err := beats.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	d.spec.Check(t, "heartbeat", beat.Data)
	if state := parse(t, beat.Data); state.text("state") != "serving" {
		t.Fatalf("heartbeat %v", state)
	} else {
		d.worker = state.text("worker")
	}
	return d
}

// ask sends a message and returns its reply, checking both.
func (d *byNATS) ask(subject, message, reply string, body object) object {
	d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		d.t.Fatal(err)
	}
	d.spec.Check(d.t, message, text)
	m, err := d.conn.Request(strings.Replace(subject, "{worker}", d.worker, 1), text, patience)
	if err != nil {
		d.t.Fatalf("%s: %v", subject, err)
	}
	if code := m.Header.Get("Nats-Service-Error-Code"); (code != "") != (reply == "fault") {
		d.t.Fatalf("%s: %s: %s", subject, code, m.Data)
	}
	d.spec.Check(d.t, reply, m.Data)
	return parse(d.t, m.Data)
}

const commands = "sfu.v1.worker.{worker}.session."

// TestSessionByNATSAlone creates, pushes, pulls and closes without HTTP and
// without a directory, as a load tester does.
func TestSessionByNATSAlone(t *testing.T) {
	const pushing, pulling = "11111111111111111111111111111111", "22222222222222222222222222222222"
	d := findWorker(t)
	source := &client{t: t, pc: newPeerConnection(t)}
	transceiver := source.send(webrtc.RTPCodecTypeVideo)
	answer := d.ask(commands+"tracks-new", "tracksNew", "reply", object{
		"app": app, "session": pushing, "create": true, "sessionDescription": source.offer(),
		"push": []any{object{"mid": transceiver.Mid(), "trackName": "camera"}},
	})
	source.take(answer)

	viewer := &client{t: t, pc: newPeerConnection(t)}
	arrived := make(chan *webrtc.TrackRemote, 1)
	viewer.pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { arrived <- track })
	offer := d.ask(commands+"tracks-new", "tracksNew", "reply", object{
		"app": app, "session": pulling, "create": true,
		"pull": []any{object{"session": pushing, "trackName": "camera", "origin": object{"worker": d.worker}}},
	})
	d.ask(commands+"renegotiate", "renegotiate", "reply", object{"app": app, "session": pulling, "sessionDescription": viewer.take(offer)})
	select {
	case track := <-arrived:
		for range 10 {
			if _, _, err := track.ReadRTP(); err != nil {
				t.Fatal(err)
			}
		}
	case <-time.After(patience):
		t.Fatal("no media arrived")
	}

	state := d.ask(commands+"get", "get", "sessionState", object{"app": app, "session": pulling})
	if state.text("connection") != "connected" || state.text("tracks", 0, "direction") != "pull" {
		t.Errorf("state %v", state)
	}
	if located := d.ask("sfu.v1.locate", "locate", "located", object{"app": app, "session": pushing}); located.text("worker") != d.worker {
		t.Errorf("located %v", located)
	}
	d.ask(commands+"tracks-close", "tracksClose", "reply", object{"app": app, "session": pushing, "force": true, "mids": []any{transceiver.Mid()}})
	d.ask("sfu.v1.worker.{worker}.ctl.snapshot", "snapshotRequest", "snapshot", object{})
	for _, session := range []string{pushing, pulling} {
		d.ask(commands+"close", "close", "reply", object{"app": app, "session": session})
	}
	if gone := d.ask(commands+"get", "get", "fault", object{"app": app, "session": pushing}); gone.text("code") != "session_error" || gone.at("status") != float64(http.StatusGone) {
		t.Errorf("a closed session answers %v", gone)
	}
}
