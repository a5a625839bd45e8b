package forward

import (
	"errors"
	"io"
	"time"

	"github.com/pion/rtcp"
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
	// CNAME is sent with sender reports (RFC 3550 section 6.5.1).
	CNAME string
}

// Leg is the packet side of one peer, both directions: incoming streams are
// bound to layers of publications, outgoing ones are subscriptions. It answers
// and makes all RTCP. Made with its PeerConnection and closed with it. Safe for
// concurrent use.
type Leg struct {
	cfg LegConfig
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

// NewLeg returns a leg. It must be closed.
func NewLeg(cfg LegConfig) *Leg { return &Leg{cfg: cfg} }

// Buffer is what pion's SettingEngine.BufferFactory returns for a stream of
// this peer. Write takes decrypted packets on pion's read loop and never
// blocks. Read serves pion's probing of RTP streams until Bind, and after that
// waits for Close; for RTCP it always waits for Close.
func (l *Leg) Buffer(ssrc uint32, rtcp bool) io.ReadWriteCloser { return nil }

// Bind makes s the source of the publication's layer s.RID; the former source
// of the layer is ignored from now on. All packets that came in before, whether
// pion has read them or not, are delivered first. To be called once for each
// track that pion reports. It fails with ErrClosed, ErrCodec or ErrLayers.
func (l *Leg) Bind(p *Publication, s Stream) error { return nil }

// Unbind stops the stream with this SSRC: its packets are dropped.
func (l *Leg) Unbind(ssrc uint32) {}

// Subscribe attaches a new subscription to p. It fails with ErrClosed, or with
// ErrSSRC while another subscription of this leg has the SSRC.
func (l *Leg) Subscribe(p *Publication, cfg SubscriptionConfig) (*Subscription, error) {
	return &Subscription{cfg: cfg}, nil
}

// SetTransportCC gives the id of the transport-wide sequence number extension
// of incoming packets; the leg then sends transport-wide feedback. 0 stops it.
func (l *Leg) SetTransportCC(id uint8) {}

// RTT is the last measured round trip to the peer, or 0 while unknown.
func (l *Leg) RTT() time.Duration { return 0 }

// Close unbinds every stream, closes every subscription and stops the leg's
// timer. Nothing is written after it returns, except by a write that was
// blocked already. A second call does nothing.
func (l *Leg) Close() {}
