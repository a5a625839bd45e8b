// Package munge rewrites the numbers of packets, so that what one subscriber
// gets is one continuous stream whatever layers and sources it is made of.
//
// Between two switches the distance from a publisher's number to the
// subscriber's is constant. The Munger keeps a short list of such segments and
// nothing per packet: the numbers of any recent packet, and the packet behind
// any recent number, are computed from it. The package is pure.
package munge

import (
	"math"
	"slices"
	"time"

	"switchboard/mediaworker/internal/packet"
)

// maxSegments bounds the list; what lies before the oldest can no longer be
// retransmitted.
const maxSegments = 32

// Numbers are what a subscriber sees in place of the publisher's.
type Numbers struct {
	Sequence  uint16
	Timestamp uint32
	// PictureID and TL0 apply where the packet has them (packet.Media).
	PictureID uint16
	TL0       uint8
}

// Origin is the publisher's packet behind an outgoing number.
type Origin struct {
	Layer    uint8
	Stream   uint32
	Sequence uint64
}

// segment maps the publisher's numbers [from, to) to those from out on.
type segment struct {
	from, to  uint64 // to is open for the last segment: math.MaxUint64
	out       uint64
	stream    uint32
	timestamp uint32 // to add
	picture   uint16 // to add
	tl0       uint8  // to add
	layer     uint8
}

// Munger numbers one outgoing stream. Its owner serialises the calls.
type Munger struct {
	segments []segment // oldest first
	highest  uint64    // highest publisher's number of the last segment
	next     uint64    // one above the highest outgoing number
	// Of the packet with the highest outgoing number:
	last    Numbers
	arrival time.Duration
	started bool // anything was sent
}

// New returns a Munger whose first outgoing number is first. It should be below
// 2^15, so that no receiver mistakes an early loss for a wrap (RFC 3711 section
// 3.3.1).
func New(first uint16) Munger {
	// A cycle above zero: numbers that were never sent lie below, not around.
	return Munger{next: 1<<16 + uint64(first)}
}

// Switch begins a segment with p, the first packet of a layer or stream. Its
// timestamp continues the outgoing ones: by the publisher's clock where
// previous and next, the clocks of what was sent until now and of p's stream,
// are known and plausible, else by the time of arrival.
func (m *Munger) Switch(p *packet.Packet, previous, next Clock) {
	s := segment{
		from: p.Sequence, to: math.MaxUint64, out: m.next,
		stream: p.Stream, layer: p.Layer,
	}
	if m.started {
		s.timestamp = m.align(p, previous, next) - p.Timestamp
		s.picture = m.last.PictureID + 1 - p.Media.PictureID
		s.tl0 = m.last.TL0 + 1 - p.Media.TL0
	}
	if n := len(m.segments); n > 0 {
		m.segments[n-1].to = m.highest + 1
	}
	m.push(s)
	m.highest = p.Sequence
}

func (m *Munger) push(s segment) {
	if len(m.segments) == maxSegments {
		m.segments = slices.Delete(m.segments, 0, 1)
	}
	m.segments = append(m.segments, s)
}

// align returns the outgoing timestamp of p, always after the last one.
func (m *Munger) align(p *packet.Packet, previous, next Clock) uint32 {
	elapsed := max(p.Arrival-m.arrival, 0)
	expected := m.last.Timestamp + Ticks(elapsed, next.Rate)
	aligned := expected
	if n := len(m.segments); n > 0 {
		if t, ok := previous.at(p.Timestamp, next); ok {
			t += m.segments[n-1].timestamp
			// Clocks of different publishers need not agree.
			if apart := int32(t - expected); max(apart, -apart) <= int32(next.Rate) {
				aligned = t
			}
		}
	}
	if int32(aligned-m.last.Timestamp) <= 0 {
		aligned = m.last.Timestamp + 1
	}
	return aligned
}

// Rewrite returns the numbers of p and counts it as sent. It reports false if p
// belongs to no segment: it is older than all of them, or of another stream.
func (m *Munger) Rewrite(p *packet.Packet) (Numbers, bool) {
	s := m.segmentOf(p)
	if s == nil {
		return Numbers{}, false
	}
	n, out := s.numbers(p)
	if out >= m.next {
		m.next = out + 1
		m.highest = p.Sequence
		m.arrival = p.Arrival
		m.last.Sequence, m.last.Timestamp = n.Sequence, n.Timestamp
		if p.Media.PictureIDBits > 0 {
			m.last.PictureID = n.PictureID
		}
		if p.Media.TL0At > 0 {
			m.last.TL0 = n.TL0
		}
		m.started = true
	}
	return n, true
}

// Lookup returns the numbers that Rewrite gave p, for a retransmission.
func (m *Munger) Lookup(p *packet.Packet) (Numbers, bool) {
	s := m.segmentOf(p)
	if s == nil {
		return Numbers{}, false
	}
	n, out := s.numbers(p)
	return n, out < m.next
}

// Skip takes p out of the outgoing numbers: those after it move up. It reports
// false if that is too late, because a number after it was used: then p's own
// number has to be filled.
func (m *Munger) Skip(p *packet.Packet) bool {
	n := len(m.segments)
	if n == 0 {
		return true
	}
	s := &m.segments[n-1]
	if s.stream != p.Stream || s.layer != p.Layer || p.Sequence < s.from {
		return m.segmentOf(p) == nil
	}
	out := s.out + (p.Sequence - s.from)
	if out < m.next {
		return false
	}
	// Numbers of packets lost before p stay reserved for them.
	successor := *s
	successor.from, successor.out = p.Sequence+1, out
	if p.Sequence == s.from {
		*s = successor
	} else {
		s.to = p.Sequence
		m.push(successor)
	}
	m.highest, m.next = p.Sequence, out
	return true
}

// Locate returns the packet that was sent with the number, or false if it is
// not among the recent ones.
func (m *Munger) Locate(sequence uint16) (Origin, bool) {
	out := m.next - 1
	out -= uint64(uint16(out) - sequence) // the nearest at or below
	for i := len(m.segments) - 1; i >= 0; i-- {
		s := &m.segments[i]
		if out < s.out {
			continue
		}
		if seq := s.from + (out - s.out); seq < s.to {
			return Origin{Layer: s.layer, Stream: s.stream, Sequence: seq}, true
		}
		return Origin{}, false
	}
	return Origin{}, false
}

// Forget drops the segments, but not the numbers reached: another publication
// takes over, and packets of this one cannot be sent again.
func (m *Munger) Forget() { m.segments = m.segments[:0] }

// Current returns the layer and stream that is being sent, and false if there
// is none. The sequence number is not set.
func (m *Munger) Current() (Origin, bool) {
	if n := len(m.segments); n > 0 {
		return Origin{Layer: m.segments[n-1].layer, Stream: m.segments[n-1].stream}, true
	}
	return Origin{}, false
}

// Next is the next outgoing sequence number.
func (m *Munger) Next() uint16 { return uint16(m.next) }

// Offset returns what is added to the timestamps of the stream that is being
// sent, and false if there is none.
func (m *Munger) Offset() (uint32, bool) {
	if n := len(m.segments); n > 0 {
		return m.segments[n-1].timestamp, true
	}
	return 0, false
}

func (m *Munger) segmentOf(p *packet.Packet) *segment {
	for i := len(m.segments) - 1; i >= 0; i-- {
		s := &m.segments[i]
		if s.stream == p.Stream && s.layer == p.Layer && p.Sequence >= s.from {
			if p.Sequence < s.to {
				return s
			}
			return nil
		}
	}
	return nil
}

func (s *segment) numbers(p *packet.Packet) (Numbers, uint64) {
	out := s.out + (p.Sequence - s.from)
	return Numbers{
		Sequence:  uint16(out),
		Timestamp: p.Timestamp + s.timestamp,
		PictureID: (p.Media.PictureID + s.picture) & (1<<p.Media.PictureIDBits - 1),
		TL0:       p.Media.TL0 + s.tl0,
	}, out
}
