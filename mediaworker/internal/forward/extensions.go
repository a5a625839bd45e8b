package forward

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/packet"
)

// Profiles of header extensions (RFC 8285 sections 4.2 and 4.3).
const (
	oneByteProfile = 0xBEDE
	twoByteProfile = 0x1000
	maxOneByteID   = 14
	maxOneByteSize = 16
)

// stamp is what a packet carries about the moment it is sent.
type stamp struct {
	transportWide uint16
	absSendTime   uint32 // 24 bits
}

// extensions writes the header extensions of one subscription.
type extensions struct {
	negotiated HeaderExtensions
	ids        [256]uint8 // publisher's id → subscriber's, 0: leave out

	mid, absSendTime, transportWide uint8 // ids, 0: not negotiated

	midValue []byte
	absValue [3]byte
	twValue  [2]byte
}

func newExtensions(negotiated HeaderExtensions, mid string) extensions {
	e := extensions{
		negotiated:    negotiated,
		absSendTime:   negotiated[URIAbsSendTime],
		transportWide: negotiated[URITransportWide],
		midValue:      []byte(mid),
	}
	if mid != "" {
		e.mid = negotiated[URIMid]
	}
	return e
}

// volatile says whether packets carry the moment they are sent.
func (e *extensions) volatile() bool { return e.absSendTime != 0 || e.transportWide != 0 }

// bind maps the ids of a publisher. What belongs to the publisher's own
// transport or section, and what the subscriber did not negotiate, is left out.
func (e *extensions) bind(publisher HeaderExtensions) {
	e.ids = [256]uint8{}
	for uri, id := range publisher {
		switch uri {
		case URIMid, URIStreamID, URIRepairedID, URIAbsSendTime, URITransportWide:
		default:
			e.ids[id] = e.negotiated[uri]
		}
	}
}

// write sets h's extensions for p. The values live as long as p and e.
func (e *extensions) write(h *rtp.Header, p *packet.Packet, s stamp) {
	h.Extension, h.Extensions = false, h.Extensions[:0]
	profile := e.profile(p)
	for i := range p.Extensions() {
		id, value := p.ExtensionAt(i)
		if to := e.ids[id]; to != 0 && len(value) > 0 {
			add(h, profile, to, value)
		}
	}
	if e.mid != 0 {
		add(h, profile, e.mid, e.midValue)
	}
	if e.absSendTime != 0 {
		e.absValue = [3]byte{byte(s.absSendTime >> 16), byte(s.absSendTime >> 8), byte(s.absSendTime)}
		add(h, profile, e.absSendTime, e.absValue[:])
	}
	if e.transportWide != 0 {
		binary.BigEndian.PutUint16(e.twValue[:], s.transportWide)
		add(h, profile, e.transportWide, e.twValue[:])
	}
}

// profile is the one-byte form wherever every element fits it.
func (e *extensions) profile(p *packet.Packet) uint16 {
	if max(e.mid, e.absSendTime, e.transportWide) > maxOneByteID || len(e.midValue) > maxOneByteSize {
		return twoByteProfile
	}
	for i := range p.Extensions() {
		id, value := p.ExtensionAt(i)
		if e.ids[id] > maxOneByteID || e.ids[id] != 0 && len(value) > maxOneByteSize {
			return twoByteProfile
		}
	}
	return oneByteProfile
}

// add appends an element. It fails only on a length that the profile excludes,
// which the callers do.
func add(h *rtp.Header, profile uint16, id uint8, value []byte) {
	h.Extension, h.ExtensionProfile = true, profile
	_ = h.SetExtension(id, value)
}

// absSendTime is the moment in seconds, 6.18 bit fixed point.
func absSendTime(at time.Duration) uint32 {
	const second = 1 << 18
	seconds, rest := at/time.Second, at%time.Second
	return uint32(int64(seconds)*second+int64(rest)*second/int64(time.Second)) & 0xffffff
}
