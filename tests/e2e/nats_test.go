package e2e

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"switchboard/mediaworker"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// TestNATSAlone drives a worker as a load tester may: with NATS and the public
// messages only, without a control plane and without Redis.
func TestNATSAlone(t *testing.T) {
	testkit.NoLeaks(t)
	bus := testkit.NATSServer(t)
	worker := startWorker(t, testkit.Connect(t, bus, "worker"))
	tester := natsTester{t: t, nc: testkit.Connect(t, bus, "tester"), worker: worker}

	from, track := tester.push("camera")
	stop := sendPackets(t, track)
	defer stop()
	to, got := tester.pull(ids.TrackKey{Session: from.Session, Track: "camera"})

	// A packet is counted a moment after it was sent, so that more are received
	// than the counters must show.
	const packets, margin = 200, 10
	numbers := take(t, got, packets+margin)
	for i, n := range numbers {
		if n != numbers[0]+uint32(i) {
			t.Fatalf("packet %d has number %d, want %d: %v", i, n, numbers[0]+uint32(i), numbers[max(0, i-3):i+1])
		}
	}
	tester.expectCounted(from, to, packets)

	tester.command(wire.OpClose, &wire.Close{SessionRef: to})
	if f := tester.fault(wire.WorkerSubject(worker, wire.OpGet), &wire.Get{SessionRef: to}); !fault.SessionGone.Is(f) {
		t.Errorf("a closed session answers %v, want %s", f, fault.SessionGone.Name)
	}
	var state wire.SessionState
	tester.request(wire.WorkerSubject(worker, wire.OpGet), &wire.Get{SessionRef: from}, &state)
	if state.Connection != wire.ConnectionConnected {
		t.Errorf("the publisher is %s after its subscriber has gone", state.Connection)
	}
}

// push publishes a video track in a session of its own.
func (n natsTester) push(name ids.TrackName) (wire.SessionRef, *webrtc.TrackLocalStaticRTP) {
	t := n.t
	t.Helper()
	publisher := newNATSClient(t)
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", string(name))
	if err != nil {
		t.Fatal(err)
	}
	transceiver, err := publisher.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		t.Fatal(err)
	}
	ref := wire.SessionRef{App: "load", Session: ids.NewSessionID()}
	offer := localOffer(t, publisher)
	reply := n.command(wire.OpTracksNew, &wire.TracksNew{
		SessionRef: ref, Create: true, SessionDescription: offer,
		Push: []wire.Push{{Mid: transceiver.Mid(), TrackName: name}},
	})
	setRemote(t, publisher, reply.SessionDescription)
	if p := reply.Publications; p == nil || len(*p) != 1 || (*p)[0].TrackName != name {
		t.Fatalf("publications %v, want %s", p, name)
	}
	return ref, track
}

// pull subscribes in a session of its own and returns the numbers of the
// packets that arrive.
func (n natsTester) pull(key ids.TrackKey) (wire.SessionRef, <-chan uint32) {
	t := n.t
	t.Helper()
	subscriber := newNATSClient(t)
	got := make(chan uint32, 1000)
	subscriber.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { receive(remote, got) })
	ref := wire.SessionRef{App: "load", Session: ids.NewSessionID()}
	reply := n.command(wire.OpTracksNew, &wire.TracksNew{
		SessionRef: ref, Create: true,
		Pull: []wire.Pull{{TrackKey: key, Origin: &wire.Origin{Worker: n.worker}}},
	})
	if len(reply.Tracks) != 1 || reply.Tracks[0].Fault != nil {
		t.Fatalf("pull: %+v", reply.Tracks)
	}
	n.command(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: ref, SessionDescription: *answer(t, subscriber, reply.SessionDescription)})
	return ref, got
}

// expectCounted checks every place where a worker shows what it holds.
func (n natsTester) expectCounted(from, to wire.SessionRef, packets uint64) {
	t := n.t
	t.Helper()
	var state wire.SessionState
	n.request(wire.WorkerSubject(n.worker, wire.OpGet), &wire.Get{SessionRef: to}, &state)
	if state.Connection != wire.ConnectionConnected || len(state.Tracks) != 1 || state.Tracks[0].Usage.EgressPackets < packets {
		t.Errorf("state of the subscriber: %+v", state)
	}
	var located wire.Located
	n.request(wire.SubjectLocate, &wire.Locate{SessionRef: from}, &located)
	if located.Worker != n.worker {
		t.Errorf("located on %s, want %s", located.Worker, n.worker)
	}
	var snapshot wire.Snapshot
	n.request(wire.ControlSubject(n.worker, "snapshot"), nil, &snapshot)
	h := snapshot.Heartbeat
	if h.Sessions != 2 || h.Publications != 1 || h.Subscriptions != 1 || snapshot.Sessions["load"] != 2 ||
		h.AppSessions["load"] != 2 || snapshot.Apps["load"].IngressPackets < packets {
		t.Errorf("snapshot %+v", snapshot)
	}
}

func startWorker(t *testing.T, nc *nats.Conn) ids.WorkerID {
	t.Helper()
	config := mediaworker.Default()
	config.Label, config.UDP, config.ReceiveBuffer = "alone", []string{"127.0.0.1:0"}, 0
	w, err := mediaworker.New(config, mediaworker.Deps{NATS: nc, Log: zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-w.Ready():
		return w.ID()
	case err := <-ended:
		ended <- err
		t.Fatalf("worker: %v", err)
		return ""
	}
}

// natsTester sends commands to one worker.
type natsTester struct {
	t      *testing.T
	nc     *nats.Conn
	worker ids.WorkerID
}

const natsPatience = 10 * time.Second

func (n natsTester) send(subject string, message any) *nats.Msg {
	n.t.Helper()
	body, err := wire.Encode(message)
	if err != nil {
		n.t.Fatal(err)
	}
	if message == nil {
		body = nil
	}
	reply, err := n.nc.RequestMsg(&nats.Msg{Subject: subject, Data: body, Header: nats.Header{
		wire.HeaderContentType: {wire.ContentTypeJSON},
		wire.HeaderCommandID:   {string(ids.NewCommandID())},
		wire.HeaderBudget:      {"8000"},
	}}, natsPatience)
	if err != nil {
		n.t.Fatalf("%s: %v", subject, err)
	}
	return reply
}

func (n natsTester) request(subject string, message any, reply wire.Message) {
	n.t.Helper()
	m := n.send(subject, message)
	if code := m.Header.Get(micro.ErrorCodeHeader); code != "" {
		n.t.Fatalf("%s: %s: %s", subject, code, m.Header.Get(micro.ErrorHeader))
	}
	if err := wire.Decode(m.Data, reply); err != nil {
		n.t.Fatal(err)
	}
}

func (n natsTester) command(op wire.Operation, message wire.Message) *wire.Reply {
	n.t.Helper()
	var reply wire.Reply
	n.request(wire.WorkerSubject(n.worker, op), message, &reply)
	return &reply
}

// fault returns the fault that the command answers, an empty one if none.
func (n natsTester) fault(subject string, message any) *fault.Fault {
	n.t.Helper()
	m := n.send(subject, message)
	var f fault.Fault
	if m.Header.Get(micro.ErrorCodeHeader) != "" {
		if err := json.Unmarshal(m.Data, &f); err != nil {
			n.t.Fatal(err)
		}
	}
	return &f
}

func newNATSClient(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).NewPeerConnection(webrtc.Configuration{})
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

func localOffer(t *testing.T, pc *webrtc.PeerConnection) *wire.SessionDescription {
	t.Helper()
	offer, err := pc.CreateOffer(nil)
	return local(t, pc, offer, err)
}

// local applies a description of the client's own and returns it.
func local(t *testing.T, pc *webrtc.PeerConnection, d webrtc.SessionDescription, err error) *wire.SessionDescription {
	t.Helper()
	if err == nil {
		err = pc.SetLocalDescription(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &wire.SessionDescription{Type: wire.SDPType(d.Type.String()), SDP: d.SDP}
}

func setRemote(t *testing.T, pc *webrtc.PeerConnection, d *wire.SessionDescription) {
	t.Helper()
	if d == nil {
		t.Fatal("the reply has no session description")
	}
	err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.NewSDPType(string(d.Type)), SDP: d.SDP})
	if err != nil {
		t.Fatal(err)
	}
}

func answer(t *testing.T, pc *webrtc.PeerConnection, offer *wire.SessionDescription) *wire.SessionDescription {
	t.Helper()
	setRemote(t, pc, offer)
	d, err := pc.CreateAnswer(nil)
	return local(t, pc, d, err)
}

// sendPackets sends numbered single-packet VP8 frames until stop is called:
// every 30th is a keyframe.
func sendPackets(t *testing.T, track *webrtc.TrackLocalStaticRTP) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var sender sync.WaitGroup
	sender.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(0); ; n++ {
			payload := make([]byte, 200)
			payload[0] = 0x10 // start of partition (RFC 7741 section 4.2)
			if n%30 != 0 {
				payload[1] = 1 // not a keyframe (RFC 6386 section 9.1)
			}
			binary.BigEndian.PutUint32(payload[100:], n)
			p := &rtp.Packet{
				Header:  rtp.Header{Version: 2, SequenceNumber: uint16(65_500 + n), Timestamp: n * 450, Marker: true},
				Payload: payload,
			}
			if err := track.WriteRTP(p); err != nil && !errors.Is(err, context.Canceled) {
				return // the client has closed
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); sender.Wait() }
}

// receive passes on the number of each packet until the client closes; numbers
// that nobody takes are dropped.
func receive(remote *webrtc.TrackRemote, numbers chan<- uint32) {
	for {
		p, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if len(p.Payload) != 200 {
			continue // padding
		}
		select {
		case numbers <- binary.BigEndian.Uint32(p.Payload[100:]):
		default:
		}
	}
}

// take returns the next n numbers.
func take(t *testing.T, numbers <-chan uint32, n int) []uint32 {
	t.Helper()
	deadline := time.After(2 * natsPatience)
	var got []uint32
	for len(got) < n {
		select {
		case number := <-numbers:
			got = append(got, number)
		case <-deadline:
			t.Fatalf("%d packets arrived, want %d: %s", len(got), n, fmt.Sprint(got[max(0, len(got)-5):]))
		}
	}
	slices.Sort(got)
	return got
}
