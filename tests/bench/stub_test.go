package bench

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pion/webrtc/v4"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// stubOffer is an audio and video offer of the size that browsers send.
var stubOffer = sync.OnceValue(func() string {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		panic(err) // only without a random source
	}
	defer func() { _ = pc.Close() }()
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			panic(err) // the kinds are valid
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		panic(err) // the connection is fresh
	}
	return offer.SDP
})

// stub is a media worker that answers every command at once with the same
// reply, so that what remains of a call's time is the control plane's.
type stub struct {
	id   ids.WorkerID
	conn *nats.Conn
	stop chan struct{}
	done chan struct{}
}

// startStub serves commands and beats until close.
func startStub(conn *nats.Conn) (*stub, error) {
	id, err := ids.NewWorkerID("stub")
	if err != nil {
		return nil, err
	}
	s := &stub{id: id, conn: conn, stop: make(chan struct{}), done: make(chan struct{})}
	reply, err := wire.Encode(wire.Reply{
		Rev:                1,
		SessionDescription: &wire.SessionDescription{Type: wire.Answer, SDP: stubOffer()},
		Tracks:             []wire.TrackResult{{Mid: "0", TrackName: "camera", Kind: wire.Audio}},
		Publications:       &[]wire.Publication{{TrackName: "camera", Mid: "0", Kind: wire.Audio, Generation: 1}},
	})
	if err != nil {
		return nil, err
	}
	for _, op := range wire.Operations {
		if _, err := conn.Subscribe(wire.WorkerSubject(id, op), func(m *nats.Msg) { _ = m.Respond(reply) }); err != nil {
			return nil, err
		}
	}
	go s.beat()
	return s, conn.Flush()
}

func (s *stub) beat() {
	defer close(s.done)
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		data, err := wire.Encode(wire.Heartbeat{Worker: s.id, Label: "stub", State: wire.WorkerServing, MediaAddresses: []string{"127.0.0.1:1"}})
		if err == nil {
			_ = s.conn.Publish(wire.HeartbeatSubject(s.id), data)
		}
		select {
		case <-ticker.C:
		case <-s.stop:
			return
		}
	}
}

func (s *stub) close() {
	close(s.stop)
	<-s.done
}
