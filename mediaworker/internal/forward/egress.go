package forward

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"

	"switchboard/mediaworker/internal/layer"
	"switchboard/mediaworker/internal/munge"
	"switchboard/mediaworker/internal/packet"
)

const (
	// firstSequences is the range of first sequence numbers (RFC 3711 section
	// 3.3.1: an early loss must not look like a wrap).
	firstSequences = 1 << 15
	// stampsKept is how many packets can be sent again as they were.
	stampsKept = 128
	// maxResend bounds the packets that one NACK message may ask for.
	maxResend = 256
	// maxCredit bounds the packets that may be sent again at once. Each packet
	// sent earns one: a subscriber that asks for everything again and again gets
	// twice the stream and not more.
	maxCredit = 1024
)

// egress is an outgoing SSRC of a leg with the numbers it has reached. It
// outlives its subscription, because no number may be used twice under the keys
// of the leg.
type egress struct {
	mu     sync.Mutex // guards everything; held while the writer is called
	munger munge.Munger
	rtx    uint16 // next sequence number of the retransmissions
	// Without RTX, the stamps of the last packets by sequence number, so that a
	// packet is sent again byte for byte; else empty.
	stamps []sent
	// Of the packets sent, for sender reports.
	packets, octets uint32
	credit          int // packets that may be sent again
}

type sent struct {
	sequence uint16
	known    bool
	stamp    stamp
}

func newEgress() *egress {
	return &egress{
		munger: munge.New(uint16(rand.N(firstSequences))),
		rtx:    uint16(rand.N(firstSequences)),
	}
}

// keepStamps prepares for sending packets again with the stamps they had.
func (e *egress) keepStamps() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stamps == nil {
		e.stamps = make([]sent, stampsKept)
	}
}

// scratch holds a payload whose first bytes differ from the publisher's.
var scratch = sync.Pool{New: func() any { return new([packet.MaxSize + 2]byte) }}

// send forwards what the selector chooses of a burst.
func (s *Subscription) send(t *tap, burst []*packet.Packet) {
	if !s.leg.connected.Load() {
		return
	}
	s.egress.mu.Lock()
	defer s.unlock()
	s.sync()
	if s.selected.source != t {
		return
	}
	if s.cork(len(burst)) {
		defer s.uncork()
	}
	packets, bytes, wait := 0, 0, false
	for _, p := range burst {
		if s.closed.Load() {
			break
		}
		switch s.selector.Select(p) {
		case layer.Drop:
			continue
		case layer.Wait:
			wait = true
			continue
		case layer.Switch:
			s.begin(t.publication, p)
		case layer.Forward:
		}
		if n := s.forward(p); n > 0 {
			packets++
			bytes += n
		}
	}
	if packets > 0 {
		s.counting.egress(packets, bytes)
	}
	if wait {
		if l := t.publication.at(s.selector.Target()); l != nil {
			l.requestKeyframe(burst[len(burst)-1].Arrival)
		}
	}
}

// cork begins a burst of so many packets, if it is one.
func (s *Subscription) cork(packets int) bool {
	if packets < 2 || s.leg.cfg.Corker == nil {
		return false
	}
	s.leg.cfg.Corker.Cork()
	return true
}

func (s *Subscription) uncork() {
	s.dropped.Add(uint64(s.leg.cfg.Corker.Uncork()))
}

func (s *Subscription) unlock() {
	switched := s.switched
	s.switched = false
	s.egress.mu.Unlock()
	if switched {
		s.leg.wake()
	}
	if s.closed.Load() {
		s.finish()
	}
}

// sync tells the selector what changed: the source, its layers, the wish.
func (s *Subscription) sync() {
	c := choice{source: s.source.Load(), wish: s.wish.Load()}
	if c.source != s.selected.source {
		s.selector.Reset()
		s.egress.munger.Forget()
		s.selected = choice{source: c.source, wish: s.selected.wish}
	}
	if c.source != nil {
		if c.version = c.source.publication.version.Load(); c.version != s.selected.version {
			s.selector.SetLayers(c.source.publication.states())
		}
	}
	if c.wish != s.selected.wish {
		s.selector.SetWish(*c.wish)
	}
	s.selected = c
}

// begin continues the stream with first, of another layer or source.
func (s *Subscription) begin(p *Publication, first *packet.Packet) {
	l := p.at(int(first.Layer))
	next := l.wallClock(first.Stream)
	previous := munge.Clock{}
	if was, ok := s.egress.munger.Current(); ok {
		previous = p.at(int(was.Layer)).wallClock(was.Stream)
	}
	s.egress.munger.Switch(first, previous, next)
	if t := l.track.Load(); t != nil {
		s.extensions.bind(t.extensions)
	}
	s.counting = s.layerUsage(l.rid)
	s.current.Store(int32(l.index))
	s.reported.Store(false)
	s.switched = true
}

// forward writes one packet under its new numbers and returns its size, 0 if it
// was not sent.
func (s *Subscription) forward(p *packet.Packet) int {
	e := s.egress
	padding := len(p.Payload()) == 0
	if padding && e.munger.Skip(p) {
		return 0
	}
	n, ok := e.munger.Rewrite(p)
	if !ok {
		return 0
	}
	st := s.stamp()
	if len(e.stamps) > 0 {
		e.stamps[n.Sequence%stampsKept] = sent{sequence: n.Sequence, known: true, stamp: st}
	}
	size := s.write(p, n, st)
	if size > 0 {
		e.packets++
		e.octets += uint32(len(p.Payload()))
		e.credit = min(e.credit+1, maxCredit)
	}
	return size
}

func (s *Subscription) stamp() stamp {
	var st stamp
	if s.extensions.transportWide != 0 {
		st.transportWide = uint16(s.leg.transportWide.Add(1))
	}
	if s.extensions.absSendTime != 0 {
		st.absSendTime = absSendTime(now())
	}
	return st
}

// write sends p on the media stream.
func (s *Subscription) write(p *packet.Packet, n munge.Numbers, st stamp) int {
	h := &s.header
	h.Version, h.Marker, h.PayloadType = 2, p.Marker, s.cfg.PayloadType
	h.SequenceNumber, h.Timestamp, h.SSRC = n.Sequence, n.Timestamp, s.cfg.SSRC
	s.extensions.write(h, p, st)
	payload := p.Payload()
	h.Padding, h.PaddingSize = len(payload) == 0, 0
	if h.Padding {
		h.PaddingSize = 1 // fills a number that had to be used
	}
	if patched(p, n) {
		room := scratch.Get().(*[packet.MaxSize + 2]byte)
		defer scratch.Put(room)
		payload = room[:copy(room[:], payload)]
		patch(payload, p.Media, n)
	}
	return s.emit(payload)
}

// retransmit sends p on the stream for retransmissions (RFC 4588 section 4).
func (s *Subscription) retransmit(p *packet.Packet, n munge.Numbers) int {
	h := &s.header
	h.Version, h.Marker, h.PayloadType = 2, p.Marker, s.cfg.RTXPayloadType
	h.SequenceNumber, h.Timestamp, h.SSRC = s.egress.rtx, n.Timestamp, s.cfg.RTXSSRC
	h.Padding, h.PaddingSize = false, 0
	s.egress.rtx++
	s.extensions.write(h, p, s.stamp())
	room := scratch.Get().(*[packet.MaxSize + 2]byte)
	defer scratch.Put(room)
	binary.BigEndian.PutUint16(room[:], n.Sequence)
	payload := room[:2+copy(room[2:], p.Payload())]
	if patched(p, n) {
		patch(payload[2:], p.Media, n)
	}
	return s.emit(payload)
}

func (s *Subscription) emit(payload []byte) int {
	if n, err := s.cfg.Writer.WriteRTP(&s.header, payload); err != nil || n == 0 {
		s.dropped.Add(1)
		return 0
	}
	return s.header.MarshalSize() + len(payload) + int(s.header.PaddingSize)
}

// patched says whether the descriptor has to be changed.
func patched(p *packet.Packet, n munge.Numbers) bool {
	m := &p.Media
	return m.PictureIDBits > 0 && n.PictureID != m.PictureID || m.TL0At > 0 && n.TL0 != m.TL0
}

// patch writes the picture numbers into a copy of the payload.
func patch(payload []byte, m packet.Media, n munge.Numbers) {
	switch m.PictureIDBits {
	case 7:
		payload[m.PictureIDAt] = byte(n.PictureID) & 0x7f
	case 15:
		binary.BigEndian.PutUint16(payload[m.PictureIDAt:], n.PictureID|0x8000)
	}
	if m.TL0At > 0 {
		payload[m.TL0At] = n.TL0
	}
}

// resend serves a NACK for numbers on the wire.
func (s *Subscription) resend(sequences []uint16) {
	t := s.source.Load()
	if t == nil || s.closed.Load() {
		return
	}
	s.egress.mu.Lock()
	defer s.unlock()
	if s.selected.source != t {
		return
	}
	if s.cork(len(sequences)) {
		defer s.uncork()
	}
	at := now()
	packets, bytes := 0, 0
	var lacking *encoding
	for _, seq := range sequences {
		if s.egress.credit == 0 {
			break
		}
		origin, ok := s.egress.munger.Locate(seq)
		if !ok {
			continue
		}
		l := t.publication.at(int(origin.Layer))
		p := l.cached(origin.Stream, origin.Sequence, at)
		if p == nil {
			if lacking != nil && lacking != l {
				lacking.chase(at)
			}
			lacking = l
			continue
		}
		if n := s.repeat(p); n > 0 {
			s.egress.credit--
			packets++
			bytes += n
		}
		p.Release()
	}
	if lacking != nil {
		lacking.chase(at) // what comes is sent like any other
	}
	if packets > 0 {
		s.counting.egress(packets, bytes)
	}
}

// repeat sends a packet again: on the stream for retransmissions, else exactly
// as it was.
func (s *Subscription) repeat(p *packet.Packet) int {
	n, ok := s.egress.munger.Lookup(p)
	switch {
	case !ok:
		return 0
	case s.cfg.RTXSSRC != 0 && len(p.Payload()) > 0:
		return s.retransmit(p, n)
	case len(s.egress.stamps) == 0 && s.extensions.volatile():
		return 0 // its number carried a stamp that is not kept
	case len(s.egress.stamps) == 0:
		return s.write(p, n, stamp{})
	}
	if k := s.egress.stamps[n.Sequence%stampsKept]; k.known && k.sequence == n.Sequence {
		return s.write(p, n, k.stamp)
	}
	return 0
}
