package peer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"
	"github.com/pion/webrtc/v4"
	"go.uber.org/zap"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// Transport timing. A client is expected to send a consent check every few
// seconds (RFC 7675 section 5.1).
const (
	// disconnectedAfter is the silence after which a transport counts as
	// disconnected, failedAfter the further silence after which it has failed.
	disconnectedAfter = 5 * time.Second
	failedAfter       = 25 * time.Second
	keepalive         = 2 * time.Second
	// handshakeWithin bounds the DTLS handshake.
	handshakeWithin = 30 * time.Second
	// replayWindow lets packets that were asked for again arrive late.
	replayWindow = 1024
)

// Config is what all peers of a worker share.
type Config struct {
	// Mux carries every peer's packets; the caller closes it after the last peer.
	Mux *netio.Mux
	// Candidates are the addresses that clients are told to send to.
	Candidates []sdpx.Candidate
	// Log receives pion's own messages, at debug level.
	Log *zap.Logger
}

// Factory makes peers. Safe for concurrent use.
type Factory struct {
	config Config
	// net holds the interfaces as they are when the sockets are opened; pion
	// would list them anew for every peer.
	net transport.Net
}

// NewFactory returns a factory. It fails without a mux or candidates, as no
// client could reach its peers.
func NewFactory(config Config) (*Factory, error) {
	if config.Mux == nil {
		return nil, errors.New("peer: no mux")
	}
	if len(config.Candidates) == 0 {
		return nil, errors.New("peer: no candidate address to tell clients")
	}
	if config.Log == nil {
		config.Log = zap.NewNop()
	}
	interfaces, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("peer: list interfaces: %w", err)
	}
	return &Factory{config: config, net: interfaces}, nil
}

// Options says what a new peer is for.
type Options struct {
	// ThirdParty: the other side is ICE-lite, so we are a full agent.
	ThirdParty bool
	// CNAME is sent with RTCP (RFC 3550 section 6.5.1).
	CNAME string
	// OnState is told of every change of the transport. It is called from
	// pion's goroutines, one call at a time, and must not block.
	OnState func(State)
	// Panicked is told of a panic over the client's packets, on the goroutine
	// and with the stack of it. May be nil; it must not block.
	Panicked func(value any)
}

// New returns a fresh peer with a certificate of its own, which has not
// negotiated anything. It must be closed.
func (f *Factory) New(o Options) (*Peer, error) {
	p := &Peer{
		factory: f, options: o, gathered: make(chan struct{}), state: State{Connection: wire.ConnectionNew},
		ufrag: rand.Text()[:8], password: rand.Text(), // 40 and 128 random bits (RFC 8445 section 5.3)
		negotiation: negotiation{
			lines:   make(map[string]*line),
			numbers: registry{formats: make(map[uint8]forward.Codec), ids: make(map[uint8]string)},
		},
	}
	p.egress = f.config.Mux.Egress(p.ufrag)
	p.prompts = prompter{mux: f.config.Mux, ufrag: p.ufrag}
	p.leg = forward.NewLeg(forward.LegConfig{
		WriteRTCP: p.writeRTCP, Corker: p.egress, CNAME: o.CNAME, Panicked: o.Panicked,
	})
	p.demux = newDemux(p.leg, p.flood)
	p.demux.panicked = o.Panicked
	if err := p.open(); err != nil {
		p.leg.Close()
		p.egress.Close()
		return nil, err
	}
	return p, nil
}

func (p *Peer) open() error {
	settings, err := p.factory.settings(p)
	if err != nil {
		return err
	}
	engine, err := newEngine()
	if err != nil {
		return fmt.Errorf("new media engine: %w", err)
	}
	certificate, err := newCertificate()
	if err != nil {
		return err
	}
	p.api = webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine),
		webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	// The pool makes pion gather at once, not at the first local description:
	// ours is applied only when it is answered.
	pc, err := p.api.NewPeerConnection(webrtc.Configuration{
		Certificates: []webrtc.Certificate{*certificate}, ICECandidatePoolSize: 1,
		BundlePolicy: webrtc.BundlePolicyMaxBundle, SDPSemantics: webrtc.SDPSemanticsUnifiedPlan,
	})
	if err != nil {
		return fmt.Errorf("new peer connection: %w", err)
	}
	p.pc = pc
	p.watch()
	return nil
}

// settings are one peer's: pion keeps keys and buffers per engine.
func (f *Factory) settings(p *Peer) (webrtc.SettingEngine, error) {
	s := webrtc.SettingEngine{LoggerFactory: pionLog{f.config.Log}}
	s.BufferFactory = p.demux.buffer
	s.DisableMediaEngineCopy(true)
	s.SetNet(f.net)
	s.SetICECredentials(p.ufrag, p.password)
	if s.SetLite(!p.options.ThirdParty); !p.options.ThirdParty {
		s.SetICEBindingRequestHandler(p.prompts.checked)
	}
	s.SetICEUDPMux(f.config.Mux)
	networks := []webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6}
	if tcp := f.config.Mux.TCPMux(); tcp != nil {
		s.SetICETCPMux(tcp)
		networks = append(networks, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6)
	}
	s.SetNetworkTypes(networks)
	s.DisableActiveTCP(true)
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(disconnectedAfter, failedAfter, keepalive)
	s.SetPrflxAcceptanceMinWait(0)
	s.SetHostAcceptanceMinWait(0)
	s.SetDTLSInsecureSkipHelloVerify(true) // ICE has proved the address
	s.SetDTLSConnectContextMaker(func() (context.Context, func()) {
		return context.WithTimeout(context.Background(), handshakeWithin)
	})
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	s.SetSRTPReplayProtectionWindow(replayWindow)
	s.SetSRTCPReplayProtectionWindow(replayWindow)
	return s, s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer)
}

func newCertificate() (*webrtc.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	certificate, err := webrtc.GenerateCertificate(key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return certificate, nil
}
