package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/layer"
	"switchboard/mediaworker/internal/packet"
	"switchboard/shared/wire"
)

// SubscriptionConfig says how the packets of one subscription leave.
type SubscriptionConfig struct {
	// Writer sends the packets.
	Writer Writer
	// SSRC and PayloadType of the outgoing stream. A later subscription of the
	// same Leg with the same SSRC continues its numbers.
	SSRC        uint32
	PayloadType uint8
	// RTXSSRC and RTXPayloadType of its retransmissions (RFC 4588); zero where
	// not negotiated: lost packets are then sent again as they were.
	RTXSSRC        uint32
	RTXPayloadType uint8
	// Mid of the subscriber's section, written where the mid extension was
	// negotiated.
	Mid string
	// Extensions as negotiated with the subscriber.
	Extensions HeaderExtensions
	// Wish for layers; nil is automatic.
	Wish *wire.Simulcast
	// Usage of the subscriber's session. The subscription counts in a child of
	// it and ends that child when it is closed. May be nil.
	Usage *Usage
}

// Subscription is one viewer's copy of a publication: it chooses the layer,
// renumbers, and writes. Safe for concurrent use; only the sending of packets
// waits for a blocked writer.
type Subscription struct {
	cfg     SubscriptionConfig
	leg     *Leg
	usage   *Usage
	egress  *egress
	source  atomic.Pointer[tap]
	wish    atomic.Pointer[layer.Wish]
	current atomic.Int32 // index of the layer being sent, layer.None
	closed  atomic.Bool
	dropped atomic.Uint64
	// reported: a sender report of the stream that is being sent has gone out.
	reported atomic.Bool

	// Guarded by egress.mu.
	selector   layer.Selector
	selected   choice // what the selector knows
	extensions extensions
	header     rtp.Header
	counting   *Usage // of the layer being sent
	switched   bool   // a layer or source began: its timestamps are to be reported

	mu      sync.Mutex // guards what follows, and writing source
	layers  []sentLayer
	reports reports
}

// choice is what a selector's decisions rest on.
type choice struct {
	source  *tap
	version uint32 // of the publication's layers
	wish    *layer.Wish
}

// sentLayer counts what was sent of one layer.
type sentLayer struct {
	rid   string
	usage *Usage
}

// SubscriptionState is a snapshot of a subscription.
type SubscriptionState struct {
	// RID of the layer being sent; empty before the first packet and for a
	// plain track.
	RID string
	// Usage is what was sent, retransmissions included.
	Usage wire.Usage
	// Layers is what was sent of each layer.
	Layers []wire.LayerState
	// Dropped counts packets that the writer refused or lost, or that were not
	// sent because it was blocked.
	Dropped uint64
	// Loss is the share of packets lost in the subscriber's last report, 0 to
	// 1; Lost is the total. RTT is 0 while unknown.
	Loss float64
	Lost uint32
	RTT  time.Duration
}

// tap is a subscription's sink at one publication; only the one in
// Subscription.source passes anything on.
type tap struct {
	subscription *Subscription
	publication  *Publication
	outlet       *outlet // nil if the publication was closed already
}

// Send implements Sink.
func (t *tap) Send(burst []*packet.Packet, _ time.Duration) { t.subscription.send(t, burst) }

// Report implements Sink. The subscription's own reports are made from the
// layer's last one at their own pace; only the first must not wait.
func (t *tap) Report(SenderReport) {
	if !t.subscription.reported.Load() {
		t.subscription.leg.wake()
	}
}

func (t *tap) lost(packets int) { t.subscription.dropped.Add(uint64(packets)) }

func newSubscription(l *Leg, e *egress, cfg SubscriptionConfig) *Subscription {
	wish := layer.WishOf(cfg.Wish)
	s := &Subscription{
		cfg: cfg, leg: l, usage: cfg.Usage.Child(), egress: e,
		selector:   layer.NewSelector(wish),
		selected:   choice{wish: &wish},
		extensions: newExtensions(cfg.Extensions, cfg.Mid),
	}
	if cfg.RTXSSRC == 0 && s.extensions.volatile() {
		e.keepStamps()
	}
	s.wish.Store(&wish)
	s.current.Store(layer.None)
	return s
}

// SetWish changes the wish for layers; nil is automatic. The layer changes at
// its next keyframe, which is asked for.
func (s *Subscription) SetWish(wish *wire.Simulcast) {
	w := layer.WishOf(wish)
	s.wish.Store(&w)
	if l := s.target(); l != nil && int32(l.index) != s.current.Load() {
		l.requestKeyframe(now())
	}
}

// Replace makes p the source. Numbers and timestamps go on without a gap; video
// goes on with p's next keyframe, which is asked for.
func (s *Subscription) Replace(p *Publication) {
	s.mu.Lock()
	former := s.source.Load()
	if s.closed.Load() || former != nil && former.publication == p {
		s.mu.Unlock()
		return
	}
	t := &tap{subscription: s, publication: p}
	t.outlet = p.attach(t)
	s.source.Store(t)
	s.current.Store(layer.None)
	s.mu.Unlock()
	if former != nil {
		former.publication.Detach(former)
	}
	s.start()
}

// start gets the stream going as soon as the peer can be written to: from the
// recent past where that reaches back to a keyframe, else with a new one.
func (s *Subscription) start() {
	t := s.source.Load()
	if l := s.target(); l != nil && t.outlet != nil {
		l.queue.join(t.outlet)
	}
}

// target returns the video layer that is wanted, or nil where there is none or
// nothing can be sent.
func (s *Subscription) target() *encoding {
	t := s.source.Load()
	if t == nil || s.closed.Load() || !s.leg.connected.Load() || t.publication.cfg.Kind != wire.Video {
		return nil
	}
	return t.publication.at(layer.Target(*s.wish.Load(), t.publication.states()))
}

// Close stops the subscription and ends its usage. Nothing is written after it
// returns, except by a write that is under way. A second call does nothing.
func (s *Subscription) Close() {
	s.leg.forget(s)
	s.stop()
}

func (s *Subscription) stop() {
	s.mu.Lock()
	again := s.closed.Swap(true)
	t := s.source.Load()
	s.mu.Unlock()
	if again {
		return
	}
	if t != nil {
		t.publication.Detach(t)
	}
	s.finish()
}

// finish ends the books once nobody is sending; a sender that is under way does
// it when it is done.
func (s *Subscription) finish() {
	if s.egress.mu.TryLock() {
		s.usage.End()
		s.egress.mu.Unlock()
	}
}

// State returns a snapshot.
func (s *Subscription) State() SubscriptionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := SubscriptionState{
		Usage: s.usage.Total(), Dropped: s.dropped.Load(),
		Loss: s.reports.loss, Lost: s.reports.lost, RTT: s.reports.rtt,
	}
	for _, l := range s.layers {
		state.Layers = append(state.Layers, wire.LayerState{RID: l.rid, Usage: l.usage.Total()})
	}
	if t := s.source.Load(); t != nil {
		if l := t.publication.at(int(s.current.Load())); l != nil {
			state.RID = l.rid
		}
	}
	return state
}

// layerUsage returns the counter of what is sent of a layer.
func (s *Subscription) layerUsage(rid string) *Usage {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.layers {
		if l.rid == rid {
			return l.usage
		}
	}
	u := s.usage.Child()
	s.layers = append(s.layers, sentLayer{rid: rid, usage: u})
	return u
}
