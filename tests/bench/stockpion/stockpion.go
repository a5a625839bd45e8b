// Package stockpion is the yardstick of the benchmarks: the smallest forwarder
// that pion/webrtc gives when used as its examples show, with the default
// interceptors and one shared TrackLocalStaticRTP per publication.
//
// It serves the part of the HTTP API that a load generator needs (sessions/new,
// push with an offer, pull where the server offers, renegotiate), so that the
// same clients measure it and the product. It checks no secret and forgets
// nothing: never use it for anything else.
package stockpion

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"switchboard/tests/e2e/apiclient"
)

// keyframeEvery is the shortest time between two keyframe requests that a
// subscriber's report causes.
const keyframeEvery = 500 * time.Millisecond

// pullWait is how long a pull waits for the publisher's first packet.
const pullWait = 5 * time.Second

// Forwarder is a running server. Its methods are safe for concurrent use.
type Forwarder struct {
	api     *webrtc.API
	mux     io.Closer
	server  *http.Server
	address string
	work    sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	sessions map[string]*session
}

type session struct {
	pc *webrtc.PeerConnection

	mu        sync.Mutex        // guards the fields below
	names     map[string]string // mid → trackName, of pushes
	published map[string]*publication
	changed   chan struct{} // closed and replaced at every publication
}

// await returns the publication of a name, waiting for its first packet.
func (s *session) await(ctx context.Context, name string) (*publication, error) {
	for {
		s.mu.Lock()
		p, changed := s.published[name], s.changed
		s.mu.Unlock()
		if p != nil {
			return p, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("no track %q", name)
		}
	}
}

type publication struct {
	track *webrtc.TrackLocalStaticRTP
	pc    *webrtc.PeerConnection
	ssrc  webrtc.SSRC

	mu    sync.Mutex
	asked time.Time
}

// Start serves on free ports of 127.0.0.1 until Close.
func Start() (*Forwarder, error) {
	engine, registry := new(webrtc.MediaEngine), new(interceptor.Registry)
	var settings webrtc.SettingEngine
	settings.LoggerFactory = &logging.DefaultLoggerFactory{Writer: io.Discard}
	if err := errors.Join(
		engine.RegisterDefaultCodecs(),
		webrtc.RegisterDefaultInterceptorsWithOptions(engine, registry, webrtc.WithInterceptorLoggerFactory(settings.LoggerFactory)),
	); err != nil {
		return nil, err
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	_ = udp.SetReadBuffer(8 << 20)
	_ = udp.SetWriteBuffer(8 << 20)
	mux := webrtc.NewICEUDPMux(settings.LoggerFactory.NewLogger("mux"), udp)
	settings.SetICEUDPMux(mux)
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetLite(true)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, mux.Close())
	}
	f := &Forwarder{
		api:      webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)),
		mux:      mux,
		address:  "http://" + listener.Addr().String(),
		sessions: make(map[string]*session),
	}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /v1/apps/{app}/sessions/new", f.create)
	routes.HandleFunc("POST /v1/apps/{app}/sessions/{session}/tracks/new", f.tracks)
	routes.HandleFunc("PUT /v1/apps/{app}/sessions/{session}/renegotiate", f.renegotiate)
	f.server = &http.Server{Handler: routes}
	f.work.Go(func() { _ = f.server.Serve(listener) })
	return f, nil
}

// URL returns the base for clients.
func (f *Forwarder) URL() string { return f.address + "/v1" }

// Close ends every session and waits for all goroutines.
func (f *Forwarder) Close() error {
	errs := []error{f.server.Shutdown(context.Background())}
	f.mu.Lock()
	for _, s := range f.sessions {
		errs = append(errs, s.pc.GracefulClose())
	}
	f.mu.Unlock()
	errs = append(errs, f.mux.Close()) // closes the socket too
	f.work.Wait()
	return errors.Join(errs...)
}

func (f *Forwarder) create(w http.ResponseWriter, _ *http.Request) {
	pc, err := f.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		refuse(w, err)
		return
	}
	id := rand.Text()
	s := &session{pc: pc, names: make(map[string]string), published: make(map[string]*publication), changed: make(chan struct{})}
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) { f.publish(s, track, receiver) })
	f.mu.Lock()
	f.sessions[id] = s
	f.mu.Unlock()
	respond(w, http.StatusCreated, apiclient.Response{SessionID: id})
}

func (f *Forwarder) find(id string) (*session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[id]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("no session %q", id)
}

func (f *Forwarder) tracks(w http.ResponseWriter, r *http.Request) {
	var request apiclient.Request
	s, err := f.find(r.PathValue("session"))
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&request)
	}
	ctx, cancel := context.WithTimeout(r.Context(), pullWait)
	defer cancel()
	var answer *apiclient.Response
	switch {
	case err != nil:
	case request.Description != nil:
		answer, err = s.push(request)
	default:
		answer, err = f.pull(ctx, s, request)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	respond(w, http.StatusOK, answer)
}

func (f *Forwarder) renegotiate(w http.ResponseWriter, r *http.Request) {
	var request apiclient.Request
	s, err := f.find(r.PathValue("session"))
	if err == nil {
		err = json.NewDecoder(r.Body).Decode(&request)
	}
	if err == nil && request.Description == nil {
		err = errors.New("no sessionDescription")
	}
	if err == nil {
		err = s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: request.Description.SDP})
	}
	if err != nil {
		refuse(w, err)
		return
	}
	respond(w, http.StatusOK, struct{}{})
}

func (s *session) push(request apiclient.Request) (*apiclient.Response, error) {
	s.mu.Lock()
	for _, t := range request.Tracks {
		s.names[t.Mid] = t.TrackName
	}
	s.mu.Unlock()
	if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: request.Description.SDP}); err != nil {
		return nil, err
	}
	answer, err := s.pc.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	sdp, err := s.apply(answer)
	if err != nil {
		return nil, err
	}
	return &apiclient.Response{Tracks: request.Tracks, Description: &apiclient.Description{Type: "answer", SDP: sdp}}, nil
}

// apply sets a local description and returns it with all candidates.
func (s *session) apply(d webrtc.SessionDescription) (string, error) {
	gathered := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(d); err != nil {
		return "", err
	}
	<-gathered
	return s.pc.LocalDescription().SDP, nil
}

func (f *Forwarder) pull(ctx context.Context, s *session, request apiclient.Request) (*apiclient.Response, error) {
	senders := make([]*webrtc.RTPTransceiver, len(request.Tracks))
	for i, t := range request.Tracks {
		publisher, err := f.find(t.SessionID)
		if err != nil {
			return nil, err
		}
		p, err := publisher.await(ctx, t.TrackName)
		if err != nil {
			return nil, err
		}
		senders[i], err = s.pc.AddTransceiverFromTrack(p.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, err
		}
		f.work.Go(func() { p.listen(senders[i].Sender()) })
	}
	offer, err := s.pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	sdp, err := s.apply(offer)
	if err != nil {
		return nil, err
	}
	for i := range request.Tracks {
		request.Tracks[i].Mid = senders[i].Mid()
	}
	return &apiclient.Response{Renegotiate: true, Tracks: request.Tracks, Description: &apiclient.Description{Type: "offer", SDP: sdp}}, nil
}

// publish forwards a pushed track until it ends. It runs on pion's goroutine.
func (f *Forwarder) publish(s *session, track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	s.mu.Lock()
	name := s.names[receiver.RTPTransceiver().Mid()]
	local, err := webrtc.NewTrackLocalStaticRTP(track.Codec().RTPCodecCapability, name, "stream-"+name)
	if err != nil {
		s.mu.Unlock()
		return
	}
	s.published[name] = &publication{track: local, pc: s.pc, ssrc: track.SSRC()}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	f.work.Go(func() {
		for {
			if _, _, err := receiver.ReadRTCP(); err != nil {
				return
			}
		}
	})
	f.work.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			_, _ = local.Write(buffer[:n]) // the errors are of subscribers that left
		}
	})
}

// listen hands a subscriber's keyframe requests to the publisher.
func (p *publication) listen(sender *webrtc.RTPSender) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if _, ok := packet.(*rtcp.PictureLossIndication); ok && p.mayAsk() {
				_ = p.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(p.ssrc)}})
			}
		}
	}
}

func (p *publication) mayAsk() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.asked) < keyframeEvery {
		return false
	}
	p.asked = time.Now()
	return true
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, err error) {
	respond(w, http.StatusInternalServerError, apiclient.Response{ErrorCode: "internal_error", ErrorText: err.Error()})
}
