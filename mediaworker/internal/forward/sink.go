package forward

import (
	"time"

	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/packet"
)

// Sink is where the packets of a publication go: a Subscription of a client, or
// a leg to another worker.
type Sink interface {
	// Send delivers packets of one layer (Packet.Layer) in the order of their
	// arrival. The sink may hold them back for company until flushBy, monotonic
	// time as in Packet.Arrival, and no longer. The slice is the caller's again
	// when Send returns; a packet that is kept must be retained. Calls for
	// different layers may be concurrent.
	Send(burst []*packet.Packet, flushBy time.Duration)
	// Report passes on a sender report of one layer.
	Report(SenderReport)
}

// Source is where a publication's packets come from: a client's Leg, or a leg
// from another worker. Its methods do not block.
type Source interface {
	// RequestKeyframe asks for a keyframe of the layer.
	RequestKeyframe(rid string)
	// RequestRetransmission asks for packets of the layer by their sequence
	// numbers on the wire.
	RequestRetransmission(rid string, sequences []uint16)
}

// SenderReport ties a layer's RTP timestamps to its publisher's clock (RFC 3550
// section 6.4.1).
type SenderReport struct {
	// Layer and Stream as in packet.Packet.
	Layer  uint8
	Stream uint32
	// NTP and RTP are the same instant on the publisher's wall clock (64-bit
	// NTP format) and in the layer's timestamps.
	NTP uint64
	RTP uint32
	// Packets and Octets are the publisher's counts.
	Packets, Octets uint32
	// Arrival is when the report came in, monotonic.
	Arrival time.Duration
}

// Corker lets the writers of a leg hold packets back for company: those written
// between Cork and Uncork. Uncork sends what is held and returns how many packets
// were lost of those that writers had taken. Bursts of several subscriptions may
// overlap, so the lost ones may be another's. Safe for concurrent use.
type Corker interface {
	Cork()
	Uncork() (lost int)
}

// Writer sends packets of one subscription. The header and payload are the
// caller's again when WriteRTP returns. pion's TrackLocalWriter implements it.
type Writer interface {
	WriteRTP(header *rtp.Header, payload []byte) (int, error)
}
