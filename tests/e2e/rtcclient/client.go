package rtcclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"switchboard/tests/e2e/apiclient"
)

// Intervals of a client's own reports, shorter than usual so that tests need
// not wait for them.
const (
	senderReportEvery = 200 * time.Millisecond
	nackEvery         = 30 * time.Millisecond
)

// quiet hides what pion says of connections that end under its hands.
var quiet = &logging.DefaultLoggerFactory{Writer: io.Discard}

// Options says how a client behaves. The zero value is a client like a browser.
type Options struct {
	// AnsweringRole forces the DTLS role in answers: webrtc.DTLSRoleClient is
	// a=setup:active, webrtc.DTLSRoleServer passive; 0 leaves it to pion, which
	// answers an ICE-lite offer passive.
	AnsweringRole webrtc.DTLSRole
	// OfferSetup replaces actpass in the client's first offer: "active" or "passive".
	OfferSetup string
	// PayloadTypes of the client's own offers; zero takes 111, 96 and 97.
	PayloadTypes PayloadTypes
	// NoRepair switches off the client's own NACKs.
	NoRepair bool
	// ThirdParty makes it a server that speaks ICE-lite (RFC 8445 section 2.5): it
	// waits for checks at the candidates in its descriptions.
	ThirdParty bool
	// TCP connects over ICE-TCP only (RFC 6544).
	TCP bool
}

// PayloadTypes are the numbers a client offers.
type PayloadTypes struct{ Opus, VP8, RTX webrtc.PayloadType }

// Client is one PeerConnection and one session.
type Client struct {
	api     *apiclient.Client
	session string
	options Options
	pc      *webrtc.PeerConnection
	socket  *socket // nil over TCP
	mux     io.Closer
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup

	negotiating sync.Mutex // one SDP exchange at a time

	mu       sync.Mutex // guards the fields below
	inbounds map[string]*Inbound
	sources  map[string]*Source // by mid
	changed  signal
}

// New creates a session and a PeerConnection that is not connected yet.
func New(ctx context.Context, api *apiclient.Client, options Options) (*Client, error) {
	create := api.NewSession
	if options.ThirdParty {
		create = api.NewThirdPartySession
	}
	session, err := create(ctx)
	if err != nil {
		return nil, err
	}
	return Attach(api, session, options)
}

// Attach is New for a session that exists.
func Attach(api *apiclient.Client, session string, options Options) (*Client, error) {
	if options.PayloadTypes == (PayloadTypes{}) {
		options.PayloadTypes = PayloadTypes{Opus: 111, VP8: 96, RTX: 97}
	}
	c := &Client{
		api: api, session: session, options: options,
		inbounds: make(map[string]*Inbound), sources: make(map[string]*Source),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.connect(); err != nil {
		c.cancel()
		return nil, errors.Join(err, c.closeSocket())
	}
	return c, nil
}

func (c *Client) connect() error {
	engine, registry, err := codecs(c.options)
	if err != nil {
		return err
	}
	var settings webrtc.SettingEngine
	settings.LoggerFactory = quiet
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetLite(c.options.ThirdParty)
	settings.SetICETimeouts(10*time.Second, 20*time.Second, time.Second)
	if c.options.AnsweringRole != 0 {
		if err := settings.SetAnsweringDTLSRole(c.options.AnsweringRole); err != nil {
			return err
		}
	}
	if c.options.TCP {
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	} else {
		if c.socket, err = listen(); err != nil {
			return err
		}
		mux := webrtc.NewICEUDPMux(settings.LoggerFactory.NewLogger("mux"), c.socket)
		c.mux = mux
		settings.SetICEUDPMux(mux)
		settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(engine), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	c.pc, err = api.NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return err
	}
	c.pc.OnTrack(c.onTrack)
	c.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.changed.fire()
	})
	return nil
}

// codecs returns an engine with Opus, VP8 and RTX, and the interceptors of a
// browser: NACK both ways, reports, transport-wide feedback both ways.
func codecs(o Options) (*webrtc.MediaEngine, *interceptor.Registry, error) {
	engine, registry := new(webrtc.MediaEngine), new(interceptor.Registry)
	feedback := []webrtc.RTCPFeedback{{Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	audio := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}
	video := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}
	rtx := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", o.PayloadTypes.VP8)}
	if err := errors.Join(
		engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: audio, PayloadType: o.PayloadTypes.Opus}, webrtc.RTPCodecTypeAudio),
		engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: video, PayloadType: o.PayloadTypes.VP8}, webrtc.RTPCodecTypeVideo),
		engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: rtx, PayloadType: o.PayloadTypes.RTX}, webrtc.RTPCodecTypeVideo),
	); err != nil {
		return nil, nil, err
	}
	responder, err := nack.NewResponderInterceptor(nack.WithResponderLoggerFactory(quiet))
	if err != nil {
		return nil, nil, err
	}
	registry.Add(responder)
	if !o.NoRepair {
		generator, err := nack.NewGeneratorInterceptor(nack.GeneratorInterval(nackEvery), nack.WithGeneratorLoggerFactory(quiet))
		if err != nil {
			return nil, nil, err
		}
		registry.Add(generator)
	}
	sender, err := report.NewSenderInterceptor(report.SenderInterval(senderReportEvery), report.WithSenderLoggerFactory(quiet))
	if err != nil {
		return nil, nil, err
	}
	receiver, err := report.NewReceiverInterceptor(report.WithReceiverLoggerFactory(quiet))
	if err != nil {
		return nil, nil, err
	}
	registry.Add(sender)
	registry.Add(receiver)
	return engine, registry, errors.Join(
		webrtc.ConfigureSimulcastExtensionHeaders(engine),
		webrtc.ConfigureTWCCHeaderExtensionSender(engine, registry),
		webrtc.ConfigureTWCCSenderWithOptions(engine, registry, twcc.WithLoggerFactory(quiet)),
	)
}

// Session returns the session id.
func (c *Client) Session() string { return c.session }

// API returns the client's way to the HTTP API.
func (c *Client) API() *apiclient.Client { return c.api }

// Drop loses every incoming datagram for which lose returns true, and DropSent
// every outgoing one; nil loses none. Over TCP neither has an effect.
func (c *Client) Drop(lose func(datagram []byte) bool) {
	if c.socket != nil {
		c.socket.drop.set(lose)
	}
}

// DropSent is described at Drop.
func (c *Client) DropSent(lose func(datagram []byte) bool) {
	if c.socket != nil {
		c.socket.dropSent.set(lose)
	}
}

// DTLSActive says which side began the DTLS handshake, from the descriptions in
// force: the client (true, RFC 8842's active) or the server.
func (c *Client) DTLSActive() bool {
	if d := c.pc.CurrentLocalDescription(); d != nil && d.Type == webrtc.SDPTypeAnswer {
		return strings.Contains(d.SDP, "a=setup:active")
	}
	d := c.pc.CurrentRemoteDescription()
	return d != nil && strings.Contains(d.SDP, "a=setup:passive")
}

// WaitConnected waits until ICE and DTLS are up.
func (c *Client) WaitConnected(ctx context.Context) error {
	return c.WaitState(ctx, webrtc.PeerConnectionStateConnected)
}

// WaitState waits until the PeerConnection is in a state.
func (c *Client) WaitState(ctx context.Context, want webrtc.PeerConnectionState) error {
	for {
		c.mu.Lock()
		changed := c.changed.next()
		c.mu.Unlock()
		state := c.pc.ConnectionState()
		if state == want {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("session %s is %s, want %s: %w", c.session, state, want, context.Cause(ctx))
		}
	}
}

// Inbound returns the account of a section, empty while nothing came in.
func (c *Client) Inbound(mid string) *Inbound {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.inbounds[mid]
	if in == nil {
		in = newInbound(c, mid)
		c.inbounds[mid] = in
	}
	return in
}

// Close ends the PeerConnection and waits for every goroutine of the client.
func (c *Client) Close() error {
	c.cancel()
	err := c.pc.GracefulClose()
	err = errors.Join(err, c.closeSocket())
	c.work.Wait()
	return err
}

func (c *Client) closeSocket() error {
	if c.mux == nil {
		return nil
	}
	return c.mux.Close() // closes the socket too
}

func (c *Client) onTrack(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	transceiver := receiver.RTPTransceiver()
	if transceiver == nil {
		return
	}
	in := c.Inbound(transceiver.Mid())
	c.work.Go(func() { in.read(track) })
	c.work.Go(func() { in.readReports(receiver) })
}

// start sends a source's packets and hears its feedback until the client closes.
func (c *Client) start(s *Source, sender *webrtc.RTPSender) {
	c.work.Go(func() {
		// pion drops what is sent before.
		if c.WaitConnected(c.ctx) == nil {
			s.run(c.ctx)
		}
	})
	read := sender.ReadRTCP
	if s.RID() != "" {
		read = func() ([]rtcp.Packet, interceptor.Attributes, error) { return sender.ReadSimulcastRTCP(s.RID()) }
	}
	c.work.Go(func() {
		for {
			packets, _, err := read()
			if err != nil {
				return
			}
			for _, p := range packets {
				switch p.(type) {
				case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
					s.update(func() { s.asked++; s.keyframe = true })
				case *rtcp.TransportLayerCC:
					s.update(func() { s.feedback++ })
				}
			}
		}
	})
}
