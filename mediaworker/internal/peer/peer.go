package peer

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// ErrWedged is wrapped when pion refused what the validators let pass. The peer
// is then in no defined state and must be replaced.
var ErrWedged = errors.New("peer is wedged")

// ErrFull means that the peer has no room for the media sections wanted, now or
// over its life: pion gives none of them up. Nothing has changed.
var ErrFull = errors.New("peer has no room for more media sections")

// maxLines bounds the media lines of a peer, and maxOffered those up to which we
// add any: our descriptions must stay below sdpx.MaxBytes.
const (
	maxLines   = 1000
	maxOffered = 400
)

// State is the state of a peer's transport.
type State struct {
	Connection wire.ConnectionState
	// Closed: the transport has ended for good, by us, by the other side's
	// close_notify (RFC 5246 section 7.2.1) or by failure.
	Closed bool
}

// Peer is one PeerConnection with its packet side. See the package
// documentation for who may call what.
type Peer struct {
	factory *Factory
	options Options
	api     *webrtc.API
	pc      *webrtc.PeerConnection
	leg     *forward.Leg
	demux   *demux
	egress  *netio.Egress

	// closing is the closing of a peer whose client has too many streams.
	closing  sync.WaitGroup
	flooding sync.Once
	flooded  atomic.Bool

	gathered        chan struct{} // closed when pion has its candidates
	ufrag, password string        // our ICE credentials
	prompts         prompter

	negotiation

	// iceConnected and wasConnected stay true from the first time on.
	iceConnected, wasConnected atomic.Bool

	stateMu sync.Mutex // guards what follows, and orders calls of OnState
	state   State
}

// negotiation is what one goroutine at a time changes, its session's.
type negotiation struct {
	lines   map[string]*line // every media line pion knows, by name
	named   int              // how many lines were ever named
	order   []*line          // those negotiated, as in the description
	pending *pending         // our offer that waits for its answer
	setup   sdpx.Setup       // our DTLS role once it is decided
	bundle  []string         // mids of the negotiated group on the wire
	remote  *sdpx.Description
	numbers registry
}

// maxDataChannels bounds the data channels that a client opens: pion holds 64 KiB
// for each.
const maxDataChannels = 32

// watch follows the transport's states.
func (p *Peer) watch() {
	done := webrtc.GatheringCompletePromise(p.pc)
	go func() {
		<-done
		close(p.gathered)
	}()
	p.pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		switch s {
		case webrtc.ICEConnectionStateChecking:
			// The agent knows the client's credentials from here on.
			p.factory.config.Mux.Release(p.ufrag)
		case webrtc.ICEConnectionStateConnected:
			p.iceConnected.Store(true)
		}
	})
	channels := 0
	p.pc.OnDataChannel(func(*webrtc.DataChannel) { // one call at a time
		if channels++; channels > maxDataChannels {
			p.flood()
		}
	})
	// pion calls this in a goroutine of its own each time, in no order: the
	// argument may be old.
	p.pc.OnConnectionStateChange(func(webrtc.PeerConnectionState) { p.stateChanged() })
}

func (p *Peer) stateChanged() {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	state := stateOf(p.pc.ConnectionState())
	if state == p.state {
		return
	}
	p.state = state
	if state.Connection == wire.ConnectionConnected {
		p.wasConnected.Store(true)
		p.leg.Connected()
	}
	if p.options.OnState != nil {
		p.options.OnState(state)
	}
}

func stateOf(s webrtc.PeerConnectionState) State {
	switch s {
	case webrtc.PeerConnectionStateConnecting:
		return State{Connection: wire.ConnectionConnecting}
	case webrtc.PeerConnectionStateConnected:
		return State{Connection: wire.ConnectionConnected}
	case webrtc.PeerConnectionStateDisconnected:
		return State{Connection: wire.ConnectionDisconnected}
	case webrtc.PeerConnectionStateFailed:
		return State{Connection: wire.ConnectionFailed, Closed: true}
	case webrtc.PeerConnectionStateClosed:
		return State{Connection: wire.ConnectionDisconnected, Closed: true}
	}
	return State{Connection: wire.ConnectionNew}
}

// State returns the transport's state.
func (p *Peer) State() State {
	p.stateMu.Lock()
	defer p.stateMu.Unlock()
	return p.state
}

func (p *Peer) writeRTCP(packets []rtcp.Packet) error { return p.pc.WriteRTCP(packets) }

// Negotiated reports whether a description of the client has been applied.
func (p *Peer) Negotiated() bool { return p.remote != nil }

// Remote is the client's description in force, nil before the first.
func (p *Peer) Remote() *sdpx.Description { return p.remote }

// BundleTag is the mid that owns the transport, "" before the first negotiation.
func (p *Peer) BundleTag() string {
	if len(p.bundle) == 0 {
		return ""
	}
	return p.bundle[0]
}

// Publish makes pub the destination of what the client sends in the section
// mid, now and after later negotiations.
func (p *Peer) Publish(mid string, pub *forward.Publication) { p.demux.publish(mid, pub) }

// Unpublish drops what the client sends in the section from now on.
func (p *Peer) Unpublish(mid string) { p.demux.unpublish(mid) }

// Sending returns the SSRC with which the section mid sends; ok is false when
// it is not negotiated for sending.
func (p *Peer) Sending(mid string) (ssrc uint32, ok bool) {
	l := p.byMid(mid)
	if l == nil || l.sender == nil || l.remote == nil || !l.remote.Live() || !l.remote.Direction.Receives() {
		return 0, false
	}
	_, ssrc, _, ok = l.sender.bound()
	return ssrc, ok
}

// Subscribe starts sending pub in the section mid, which must have been
// negotiated with something to send. It fails with ErrNotSending when it was
// not, and with ErrCodec when the client cannot take pub's format there.
func (p *Peer) Subscribe(mid string, pub *forward.Publication, wish *wire.Simulcast, usage *forward.Usage) (*forward.Subscription, error) {
	l := p.byMid(mid)
	if l == nil || l.sender == nil || l.remote == nil || !l.remote.Live() || !l.remote.Direction.Receives() {
		return nil, ErrNotSending
	}
	writer, ssrc, rtxSSRC, ok := l.sender.bound()
	if !ok {
		return nil, ErrNotSending
	}
	want, ok := pub.Codec()
	if !ok {
		return nil, ErrCodec
	}
	codec, ok := find(l.remote, want)
	if !ok {
		return nil, fmt.Errorf("%w: the section has no %s", ErrCodec, want.MimeType)
	}
	if codec.RTXPayloadType == 0 {
		rtxSSRC = 0
	}
	return p.leg.Subscribe(pub, forward.SubscriptionConfig{
		Writer: writer, SSRC: ssrc, PayloadType: codec.PayloadType,
		RTXSSRC: rtxSSRC, RTXPayloadType: codec.RTXPayloadType,
		Mid: mid, Extensions: extensionIDs(l.remote), Wish: wish, Usage: usage,
	})
}

var (
	// ErrNotSending means that the section is not negotiated for sending.
	ErrNotSending = errors.New("section does not send")
	// ErrCodec means that the client cannot take the publication's format.
	ErrCodec = errors.New("no common format")
)

// flood closes the transport beside the caller, pion's read loop: only that
// ends what pion keeps of each stream.
func (p *Peer) flood() {
	p.flooding.Do(func() {
		p.flooded.Store(true)
		p.closing.Go(func() { _ = p.pc.Close() })
	})
}

// Close ends the transport and waits for pion's goroutines. Subscriptions of
// the peer are closed, its streams unbound; publications live on.
func (p *Peer) Close() {
	p.leg.Close()
	_ = p.pc.GracefulClose() // nothing is left to do about an error
	p.closing.Wait()
	<-p.gathered
	p.egress.Close()
}
