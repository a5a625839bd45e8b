package session

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/netio"
	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

const (
	app    = ids.AppID("app")
	worker = ids.WorkerID("w-1")
	// patience bounds every wait of a test for something that must happen.
	patience = 15 * time.Second
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a worker's sessions over real sockets on loopback.
type rig struct {
	t        testing.TB
	mux      *netio.Mux
	registry *Registry
}

func newRig(t testing.TB) *rig {
	t.Helper()
	mux, err := netio.Listen(netio.Config{UDP: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	var candidates []sdpx.Candidate
	for _, a := range mux.Addresses() {
		candidates = append(candidates, sdpx.Candidate{Address: a})
	}
	var log = zap.NewNop()
	if testing.Verbose() {
		log = zaptest.NewLogger(t)
	}
	peers, err := peer.NewFactory(peer.Config{Mux: mux, Candidates: candidates, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, mux: mux, registry: NewRegistry(Deps{
		Peers: peers, Switchboard: switchboard.New(switchboard.Config{Worker: worker}),
		Worker: worker, Usage: &forward.Ledger{}, Log: log,
	})}
	t.Cleanup(func() {
		r.registry.Close()
		if err := mux.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// do executes a command and returns its reply.
func (r *rig) do(op wire.Operation, m wire.Message) (*wire.Reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := m.Validate(); err != nil {
		return nil, err
	}
	reply, err := r.registry.Do(ctx, Command{ID: ids.NewCommandID(), Op: op, Message: m})
	if err != nil {
		return nil, err
	}
	return reply.(*wire.Reply), nil
}

func (r *rig) state(id ids.SessionID) *wire.SessionState {
	r.t.Helper()
	m, err := r.registry.Do(context.Background(), Command{Op: wire.OpGet, Message: &wire.Get{SessionRef: wire.SessionRef{App: app, Session: id}}})
	if err != nil {
		r.t.Fatal(err)
	}
	return m.(*wire.SessionState)
}

// client is a pion client of one session.
type client struct {
	*rig
	id ids.SessionID
	pc *webrtc.PeerConnection

	mu     sync.Mutex
	got    map[string][]uint16 // sequence numbers by mid
	change chan struct{}
	stop   chan struct{}
	work   sync.WaitGroup
}

func (r *rig) client(role webrtc.DTLSRole) *client {
	r.t.Helper()
	c := &client{rig: r, id: ids.NewSessionID(), got: make(map[string][]uint16), change: make(chan struct{}), stop: make(chan struct{})}
	var settings webrtc.SettingEngine
	settings.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetInterfaceFilter(func(name string) bool { return name == "lo" })
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if role != 0 {
		if err := settings.SetAnsweringDTLSRole(role); err != nil {
			r.t.Fatal(err)
		}
	}
	engine := &webrtc.MediaEngine{}
	if err := errors.Join(engine.RegisterDefaultCodecs(), webrtc.ConfigureSimulcastExtensionHeaders(engine)); err != nil {
		r.t.Fatal(err)
	}
	var err error
	c.pc, err = webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).
		NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		r.t.Fatal(err)
	}
	c.pc.OnTrack(c.read)
	r.t.Cleanup(c.close)
	return c
}

func (c *client) close() {
	select {
	case <-c.stop:
		return
	default:
	}
	close(c.stop)
	_ = c.pc.GracefulClose()
	c.work.Wait()
}

func (c *client) ref() wire.SessionRef { return wire.SessionRef{App: app, Session: c.id} }

func (c *client) read(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	mid := receiver.RTPTransceiver().Mid()
	for {
		p, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.got[mid] = append(c.got[mid], p.SequenceNumber)
		close(c.change)
		c.change = make(chan struct{})
		c.mu.Unlock()
	}
}

// received returns the sequence numbers that came in the section.
func (c *client) received(mid string) []uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]uint16(nil), c.got[mid]...)
}

// waitPackets waits until n packets more have come in each of the sections.
func (c *client) waitPackets(n int, mids ...string) {
	c.t.Helper()
	deadline := time.After(patience)
	start := make(map[string]int)
	for _, mid := range mids {
		start[mid] = len(c.received(mid))
	}
	for {
		c.mu.Lock()
		missing, change := "", c.change
		for _, mid := range mids {
			if len(c.got[mid]) < start[mid]+n {
				missing = mid
			}
		}
		c.mu.Unlock()
		if missing == "" {
			return
		}
		select {
		case <-change:
		case <-deadline:
			c.t.Fatalf("no %d packets in section %q within %v; client %s, %s", n, missing, patience, c.pc.ConnectionState(), c.state(c.id).Verdict)
		}
	}
}

// source is a track that a client sends: packets of a fixed rhythm.
type source struct {
	name  ids.TrackName
	track *webrtc.TrackLocalStaticRTP
	tr    *webrtc.RTPTransceiver
	video bool
}

// send adds a sendonly transceiver and starts a stream in it, numbered from first.
func (c *client) send(name string, kind wire.Kind, first uint16) *source {
	c.t.Helper()
	mime := webrtc.MimeTypeOpus
	if kind == wire.Video {
		mime = webrtc.MimeTypeVP8
	}
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, name, "stream-"+name)
	if err != nil {
		c.t.Fatal(err)
	}
	tr, err := c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		c.t.Fatal(err)
	}
	s := &source{name: ids.TrackName(name), track: track, tr: tr, video: kind == wire.Video}
	c.work.Go(func() { c.feed(s, first) })
	return s
}

func (c *client) feed(s *source, seq uint16) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timestamp := uint32(0)
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		payload := make([]byte, 160)
		if s.video { // a VP8 key frame in one packet: descriptor with S, then a frame header with P=0
			payload[0], payload[1] = 0x10, 0x00
		}
		_ = s.track.WriteRTP(&rtp.Packet{
			Header:  rtp.Header{Version: 2, Marker: s.video, SequenceNumber: seq, Timestamp: timestamp},
			Payload: payload,
		})
		seq++
		timestamp += 900
	}
}

// offer makes and applies an offer.
func (c *client) offer() *wire.SessionDescription {
	c.t.Helper()
	o, err := c.pc.CreateOffer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetLocalDescription(o); err != nil {
		c.t.Fatal(err)
	}
	return &wire.SessionDescription{Type: wire.Offer, SDP: o.SDP}
}

func (c *client) apply(d *wire.SessionDescription) {
	c.t.Helper()
	if d == nil {
		c.t.Fatal("no session description")
	}
	typ := webrtc.SDPTypeAnswer
	if d.Type == wire.Offer {
		typ = webrtc.SDPTypeOffer
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: typ, SDP: d.SDP}); err != nil {
		c.t.Fatalf("%v\n%s", err, d.SDP)
	}
}

// push publishes the sources, all in one call, and returns their results.
func (c *client) push(sources ...*source) *wire.Reply {
	c.t.Helper()
	offer := c.offer()
	command := &wire.TracksNew{SessionRef: c.ref(), Create: true, SessionDescription: offer}
	for _, s := range sources {
		command.Push = append(command.Push, wire.Push{Mid: s.tr.Mid(), TrackName: s.name})
	}
	reply, err := c.do(wire.OpTracksNew, command)
	if err != nil {
		c.t.Fatal(err)
	}
	c.apply(reply.SessionDescription)
	for _, r := range reply.Tracks {
		if r.Fault != nil {
			c.t.Fatalf("push of %s: %v", r.TrackName, r.Fault)
		}
	}
	return reply
}

func pulls(of *client, names ...string) []wire.Pull {
	var list []wire.Pull
	for _, name := range names {
		list = append(list, wire.Pull{
			TrackKey: ids.TrackKey{Session: of.id, Track: ids.TrackName(name)}, Origin: &wire.Origin{Worker: worker},
		})
	}
	return list
}

// pullOffer pulls where the SFU offers and returns the reply; nothing is
// answered.
func (c *client) pullOffer(items []wire.Pull) (*wire.Reply, error) {
	return c.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: c.ref(), Create: true, Pull: items})
}

// renegotiate applies an SFU offer and sends the answer.
func (c *client) renegotiate(offer *wire.SessionDescription) {
	c.t.Helper()
	if _, err := c.do(wire.OpRenegotiate, c.answerTo(offer)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) answerTo(offer *wire.SessionDescription) *wire.Renegotiate {
	c.t.Helper()
	c.apply(offer)
	a, err := c.pc.CreateAnswer(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.pc.SetLocalDescription(a); err != nil {
		c.t.Fatal(err)
	}
	return &wire.Renegotiate{SessionRef: c.ref(), SessionDescription: wire.SessionDescription{Type: wire.Answer, SDP: a.SDP}}
}

// pull pulls the tracks, answers the SFU's offer and returns the mids.
func (c *client) pull(of *client, names ...string) []string {
	c.t.Helper()
	reply, err := c.pullOffer(pulls(of, names...))
	if err != nil {
		c.t.Fatal(err)
	}
	var mids []string
	for _, r := range reply.Tracks {
		if r.Fault != nil {
			c.t.Fatalf("pull of %s: %v", r.TrackName, r.Fault)
		}
		mids = append(mids, r.Mid)
	}
	c.renegotiate(reply.SessionDescription)
	return mids
}

// wantFault checks that err is of that kind.
func wantFault(t testing.TB, err error, kind *fault.Kind) {
	t.Helper()
	if !kind.Is(err) {
		t.Fatalf("error is %v, want %s", err, kind.Name)
	}
}

func (r *rig) session(id ids.SessionID) *session {
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	return r.registry.sessions[id]
}

func (m *memory) busy() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.underWay
}
