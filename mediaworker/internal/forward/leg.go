package forward

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"switchboard/mediaworker/internal/packet"
)

var (
	// ErrClosed means that the leg or the publication is closed.
	ErrClosed = errors.New("closed")
	// ErrCodec means that a stream's codec is not the publication's.
	ErrCodec = errors.New("codec differs from the publication's")
	// ErrLayers means that a publication has no room for another layer.
	ErrLayers = errors.New("too many layers")
	// ErrSSRC means that the SSRC is in use on this leg.
	ErrSSRC = errors.New("ssrc is in use")
)

// LegConfig says how a Leg reaches its peer.
type LegConfig struct {
	// WriteRTCP sends one compound packet. It is called by one goroutine at a
	// time; while it blocks, only this leg waits.
	WriteRTCP func([]rtcp.Packet) error
	// Corker gathers the packets of a burst, of all the leg's subscriptions; nil
	// where each leaves by itself.
	Corker Corker
	// CNAME is sent with sender reports (RFC 3550 section 6.5.1).
	CNAME string
	// Panicked is told of a panic in the leg's own goroutine, on it and with its
	// stack. May be nil; it must not block.
	Panicked func(value any)
}

// Stream is one incoming encoding.
type Stream struct {
	// SSRC of the stream; RTXSSRC of its retransmissions, or 0 where it is not
	// known: then the leg finds it by the repaired stream id.
	SSRC, RTXSSRC uint32
	// Mid is the section's; RID the layer's, empty for a plain track.
	Mid, RID string
	Codec    Codec
	// Extensions as negotiated with the publisher for this section.
	Extensions HeaderExtensions
	// NoNACK: the publisher cannot retransmit (no "nack" feedback).
	NoNACK bool
	// FIROnly: the publisher takes keyframe requests as FIR only (no "nack pli").
	FIROnly bool
}

// Leg is the packet side of one peer, both directions: incoming streams are
// bound to layers of publications, outgoing ones are subscriptions. It answers
// and makes all RTCP. Made with its PeerConnection and closed with it. Safe for
// concurrent use.
type Leg struct {
	cfg  LegConfig
	ssrc uint32 // of our feedback
	tick ticker

	connected     atomic.Bool
	rtt           atomic.Int64  // time.Duration, 0: unknown
	transportWide atomic.Uint32 // last transport-wide sequence number sent
	held          atomic.Int64  // packets held by inlets
	arrivals      arrivals
	schedule      schedule

	malformed, transportReports, estimates atomic.Uint64

	mu            sync.Mutex // guards what follows
	inlets        map[uint32]*inlet
	streams       map[uint32]*inbound
	subscriptions map[uint32]*Subscription // by media SSRC
	egresses      map[uint32]*egress       // by media SSRC
	closed        bool
}

// LegStats counts what a leg could not use or does not act on.
type LegStats struct {
	// Malformed counts RTP and RTCP that could not be parsed.
	Malformed uint64
	// TransportReports counts transport-wide feedback, and Estimates REMB, of
	// the peer's.
	TransportReports, Estimates uint64
}

// NewLeg returns a leg. It must be closed.
func NewLeg(cfg LegConfig) *Leg {
	l := &Leg{
		cfg: cfg, ssrc: rand.Uint32(),
		inlets:        make(map[uint32]*inlet),
		streams:       make(map[uint32]*inbound),
		subscriptions: make(map[uint32]*Subscription),
		egresses:      make(map[uint32]*egress),
	}
	l.tick.init(l.run)
	return l
}

// Buffer is what pion's SettingEngine.BufferFactory returns for a stream of
// this peer. Write takes decrypted packets on pion's read loop and never
// blocks on the network. Read has nothing for pion: it ends at once for RTP,
// with Close for RTCP.
func (l *Leg) Buffer(ssrc uint32, rtcp bool) io.ReadWriteCloser {
	if rtcp {
		return &control{leg: l, ssrc: ssrc, done: make(chan struct{})}
	}
	return l.inlet(ssrc)
}

func (l *Leg) inlet(ssrc uint32) *inlet {
	l.mu.Lock()
	defer l.mu.Unlock()
	in, ok := l.inlets[ssrc]
	if !ok {
		in = &inlet{leg: l, ssrc: ssrc}
		l.inlets[ssrc] = in
		if l.closed {
			in.route.Store(&route{})
		}
	}
	return in
}

// remove forgets an inlet that pion has closed, and ends its stream.
func (l *Leg) remove(in *inlet) {
	l.mu.Lock()
	ours := l.inlets[in.ssrc] == in
	if ours {
		delete(l.inlets, in.ssrc)
	}
	l.mu.Unlock()
	if ours {
		l.Unbind(in.ssrc)
	}
}

// Bind makes s the source of the publication's layer s.RID; the former source
// of the layer is ignored from now on. Packets that came in before and were held
// are delivered first. To be called again when another publication is to get
// the stream. It fails with ErrClosed, ErrCodec or ErrLayers.
func (l *Leg) Bind(p *Publication, s Stream) error {
	in := &inbound{leg: l, stream: s}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	f, err := p.bind(in, s.RID, track{codec: s.Codec, extensions: s.Extensions, nack: !s.NoNACK})
	if err != nil {
		l.mu.Unlock()
		return err
	}
	in.feed = f
	former := l.streams[s.SSRC]
	l.streams[s.SSRC] = in
	waiting := make([]*inlet, 0, len(l.inlets))
	for _, other := range l.inlets {
		r := other.route.Load()
		switch {
		case other.ssrc == s.SSRC:
		case r == nil:
			waiting = append(waiting, other)
		case former != nil && r.inbound == former:
			other.route.Store(&route{inbound: in, repair: true})
		}
	}
	l.mu.Unlock()

	if former != nil {
		former.feed.end()
	}
	l.inlet(s.SSRC).open(&route{inbound: in})
	for _, other := range waiting {
		found := other.probe(func(p *packet.Packet) *inbound { return l.repaired(other.ssrc, p) })
		if found != nil {
			other.open(&route{inbound: found, repair: true})
		}
	}
	l.wake()
	return nil
}

// repaired returns the stream whose retransmissions come under this SSRC, as
// far as it is known or p says so.
func (l *Leg) repaired(ssrc uint32, p *packet.Packet) *inbound {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.streams {
		s := &in.stream
		switch {
		case s.RTXSSRC != 0:
			if s.RTXSSRC == ssrc {
				return in
			}
		case s.RID == "" || s.Codec.RTXPayloadType != p.PayloadType:
		case string(p.Extension(s.Extensions[URIRepairedID])) == s.RID &&
			string(p.Extension(s.Extensions[URIMid])) == s.Mid:
			return in
		}
	}
	return nil
}

// Unbind stops the stream with this SSRC and its retransmissions: packets are
// dropped.
func (l *Leg) Unbind(ssrc uint32) {
	l.mu.Lock()
	in := l.streams[ssrc]
	delete(l.streams, ssrc)
	for _, inlet := range l.inlets {
		if r := inlet.route.Load(); in != nil && r != nil && r.inbound == in {
			inlet.route.Store(&route{})
		}
	}
	l.mu.Unlock()
	if in != nil {
		in.feed.end()
	}
}

// Subscribe attaches a new subscription to p. Nothing is sent or asked for until
// Connected. It fails with ErrClosed, or with ErrSSRC while another subscription
// of this leg has the SSRC.
func (l *Leg) Subscribe(p *Publication, cfg SubscriptionConfig) (*Subscription, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil, ErrClosed
	}
	if _, used := l.subscriptions[cfg.SSRC]; used {
		l.mu.Unlock()
		return nil, ErrSSRC
	}
	e, ok := l.egresses[cfg.SSRC]
	if !ok {
		e = newEgress()
		l.egresses[cfg.SSRC] = e
	}
	s := newSubscription(l, e, cfg)
	l.subscriptions[cfg.SSRC] = s
	l.mu.Unlock()
	s.Replace(p)
	l.wake()
	return s, nil
}

// Retire forgets the numbers that an outgoing SSRC has reached: it is never
// used again.
func (l *Leg) Retire(ssrc uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.egresses, ssrc)
}

// forget takes a subscription out of the leg.
func (l *Leg) forget(s *Subscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.subscriptions[s.cfg.SSRC] == s {
		delete(l.subscriptions, s.cfg.SSRC)
	}
}

// Connected says that the peer can be written to. Subscriptions send from now
// on, video beginning with a keyframe. A second call does nothing.
func (l *Leg) Connected() {
	if l.connected.Swap(true) {
		return
	}
	for _, s := range l.sending() {
		s.start()
	}
	l.wake()
}

func (l *Leg) sending() []*Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*Subscription, 0, len(l.subscriptions))
	for _, s := range l.subscriptions {
		all = append(all, s)
	}
	return all
}

func (l *Leg) receiving() []*inbound {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*inbound, 0, len(l.streams))
	for _, in := range l.streams {
		all = append(all, in)
	}
	return all
}

func (l *Leg) inboundOf(ssrc uint32) *inbound {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.streams[ssrc]
}

func (l *Leg) subscriptionOf(ssrc uint32) *Subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.subscriptions[ssrc]
}

// RTT is the last measured round trip to the peer, or 0 while unknown.
func (l *Leg) RTT() time.Duration { return time.Duration(l.rtt.Load()) }

// Stats returns the leg's counters.
func (l *Leg) Stats() LegStats {
	return LegStats{
		Malformed:        l.malformed.Load(),
		TransportReports: l.transportReports.Load(),
		Estimates:        l.estimates.Load(),
	}
}

// Close unbinds every stream, closes every subscription and stops the leg's
// timer. Nothing is written after it returns, except by a write that is under
// way. A second call does nothing.
func (l *Leg) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	inlets := make([]*inlet, 0, len(l.inlets))
	for _, in := range l.inlets {
		inlets = append(inlets, in)
	}
	l.mu.Unlock()

	l.tick.stop()
	for _, in := range inlets {
		_ = in.Close() // never fails
	}
	for _, in := range l.receiving() {
		l.Unbind(in.stream.SSRC)
	}
	for _, s := range l.sending() {
		s.Close()
	}
}
