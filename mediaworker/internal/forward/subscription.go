package forward

import (
	"time"

	"switchboard/shared/wire"
)

// SubscriptionConfig says how the packets of one subscription leave.
type SubscriptionConfig struct {
	// Writer sends the packets. It may refuse them until the peer is connected.
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

// Subscription is one viewer's copy of a publication: a Sink that chooses the
// layer, renumbers, and writes. Safe for concurrent use.
type Subscription struct {
	cfg SubscriptionConfig
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
	// Dropped counts packets that the writer refused or that were not sent
	// because it was blocked.
	Dropped uint64
	// Loss is the share of packets lost in the subscriber's last report, 0 to
	// 1; Lost is the total. RTT is 0 while unknown.
	Loss float64
	Lost uint32
	RTT  time.Duration
}

// SetWish changes the wish for layers; nil is automatic. The layer changes at
// its next keyframe, which is asked for.
func (s *Subscription) SetWish(wish *wire.Simulcast) {}

// Replace makes p the source. Numbers and timestamps go on without a gap; video
// goes on with p's next keyframe, which is asked for.
func (s *Subscription) Replace(p *Publication) {}

// Close stops the subscription and ends its usage. Nothing is written after it
// returns, except by a write that was blocked already. A second call does
// nothing.
func (s *Subscription) Close() {}

// State returns a snapshot.
func (s *Subscription) State() SubscriptionState { return SubscriptionState{} }
