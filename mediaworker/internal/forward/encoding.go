package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"switchboard/mediaworker/internal/keyframe"
	"switchboard/mediaworker/internal/munge"
	"switchboard/mediaworker/internal/nack"
	"switchboard/mediaworker/internal/packet"
	"switchboard/mediaworker/internal/rtpcache"
	"switchboard/shared/wire"
)

const (
	// maxQueue bounds the packets that wait for a layer's goroutine.
	maxQueue = 4096
	// flushWithin is how long a sink may hold packets back.
	flushWithin = time.Millisecond
	// maxReplay, packets, and maxReplayAge bound what a late joiner gets of the
	// past. The age is the time in which no further keyframe is asked for.
	maxReplay    = 100
	maxReplayAge = 500 * time.Millisecond
)

// cacheLimits hold what a subscriber can still use: a jitter buffer of a second
// or two.
func cacheLimits(kind wire.Kind) rtpcache.Limits {
	if kind == wire.Audio {
		return rtpcache.Limits{Packets: 256, Bytes: 256 << 10, Age: 2 * time.Second}
	}
	return rtpcache.Limits{Packets: 2048, Bytes: 3 << 20, Age: 2 * time.Second}
}

// track is what a layer knows of the stream that feeds it. Immutable.
type track struct {
	stream     uint32
	source     Source // nil: ended
	codec      Codec
	format     packet.Format
	extensions HeaderExtensions
	nack       bool
}

// encoding is one layer of a publication. Its goroutine takes the packets in
// and sends them on; two locks, never held while a sink is called, guard what
// others may look at.
type encoding struct {
	publication *Publication
	index       uint8
	rid         string
	usage       *Usage

	queue  queue
	active atomic.Bool  // the publisher is sending it
	last   atomic.Int64 // arrival of the last packet, time.Duration
	track  atomic.Pointer[track]
	clock  atomic.Pointer[SenderReport]

	mu        sync.Mutex // guards what follows
	closed    bool
	unwrapper packet.Unwrapper
	log       nack.Log
	cache     *rtpcache.Cache
	gate      keyframe.Gate
	keyframe  uint64 // sequence number of the last keyframe's first packet, 0: none
	keyTime   time.Duration
}

func newEncoding(p *Publication, index uint8, rid string) *encoding {
	return &encoding{
		publication: p, index: index, rid: rid,
		usage: p.usage.Child(),
		cache: rtpcache.New(cacheLimits(p.cfg.Kind)),
		queue: queue{wake: make(chan struct{}, 1)},
	}
}

// bind makes t the layer's stream.
func (l *encoding) bind(t *track) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.track.Store(t)
	l.clock.Store(nil)
	l.unwrapper.Restart()
	l.log.Restart()
	l.gate.Restart()
	l.cache.Clear()
	l.keyframe = 0
}

// unbind ends the stream, unless another has taken its place.
func (l *encoding) unbind(stream uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.track.Load(); t != nil && t.stream == stream {
		ended := *t
		ended.source = nil
		l.track.Store(&ended)
	}
}

func (l *encoding) close() {
	l.queue.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.cache.Clear()
	l.usage.End()
}

// ingest takes packets in: numbers, inspects and caches them, and notes losses.
// It returns those to send on, in the same slice, and the numbers to ask the
// source for. The packets left out are released. A burst that makes it panic is
// lost.
func (l *encoding) ingest(burst []*packet.Packet, lost []uint16) (fresh []*packet.Packet, asked []uint16) {
	defer func() {
		if r := recover(); r != nil {
			fresh, asked = nil, lost[:0]
			l.queue.lose(len(burst))
			l.publication.panicked(r)
		}
	}()
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.track.Load()
	fresh = burst[:0]
	bytes := 0
	for _, p := range burst {
		bytes += p.Size()
		if l.closed || t == nil || p.Stream != t.stream || !l.accept(p, t) {
			p.Release()
			continue
		}
		fresh = append(fresh, p)
	}
	if l.closed {
		return fresh, lost
	}
	l.usage.ingress(len(burst), bytes)
	if t != nil && t.nack && len(fresh) > 0 {
		lost = l.log.Due(fresh[len(fresh)-1].Arrival, lost)
	}
	return fresh, lost
}

// accept numbers and caches one packet; false if it was there before.
func (l *encoding) accept(p *packet.Packet, t *track) bool {
	p.Sequence = l.unwrapper.Unwrap(uint16(p.Sequence))
	if l.log.Received(p.Sequence, p.Arrival) == nack.Stale {
		return false
	}
	p.Layer = l.index
	p.Inspect(t.format)
	l.cache.Put(p)
	if p.Media.Keyframe && p.Sequence > l.keyframe {
		l.keyframe, l.keyTime = p.Sequence, p.Arrival
		l.gate.Arrived()
	}
	return true
}

// replay returns the packets since the last keyframe, retained, if it is young
// and all of them are there.
func (l *encoding) replay(at time.Duration) []*packet.Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keyframe == 0 || at-l.keyTime > maxReplayAge {
		return nil
	}
	burst, ok := l.cache.Append(make([]*packet.Packet, 0, maxReplay), l.keyframe)
	if !ok {
		return nil
	}
	return burst
}

// cached returns a packet of the stream, retained, or nil; then the source is
// asked for it, unless it has been.
func (l *encoding) cached(stream uint32, sequence uint64, at time.Duration) *packet.Packet {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.track.Load()
	if t == nil || t.stream != stream {
		return nil
	}
	p := l.cache.Get(sequence)
	if p == nil {
		l.log.Request(sequence, at)
	}
	return p
}

// chase asks the source again for what is still missing, and for a keyframe
// that had to wait. It returns how soon it should be called again, or false if
// there is nothing to wait for.
func (l *encoding) chase(at time.Duration) (time.Duration, bool) {
	l.mu.Lock()
	t := l.track.Load()
	if t == nil || t.source == nil || l.closed {
		l.mu.Unlock()
		return 0, false
	}
	var lost []uint16
	if t.nack {
		lost = l.log.Due(at, nil)
	}
	ask := l.gate.Due(at, l.log.RTT())
	next, more := l.log.Next()
	more = more && t.nack
	if l.gate.Pending() {
		next, more = 100*time.Millisecond, true
	}
	l.cache.Trim(at)
	l.mu.Unlock()

	if len(lost) > 0 {
		t.source.RequestRetransmission(l.rid, lost)
	}
	if ask {
		t.source.RequestKeyframe(l.rid)
	}
	return next, more
}

// requestKeyframe asks the source for a keyframe, unless it was asked lately.
func (l *encoding) requestKeyframe(at time.Duration) {
	if l.publication.cfg.Kind != wire.Video {
		return
	}
	l.mu.Lock()
	t := l.track.Load()
	ask := t != nil && t.source != nil && !l.closed && l.gate.Request(at, l.log.RTT())
	l.mu.Unlock()
	if ask {
		t.source.RequestKeyframe(l.rid)
	}
}

// wallClock returns the publisher's clock during a stream, for aligning
// timestamps; without time if there was no report of it or it has ended.
func (l *encoding) wallClock(stream uint32) munge.Clock {
	var c munge.Clock
	if t := l.track.Load(); t != nil {
		c.Rate = t.codec.ClockRate
	}
	if r := l.clock.Load(); r != nil && r.Stream == stream {
		c.NTP, c.RTP = r.NTP, r.RTP
	}
	return c
}

// repair asks the source for lost packets.
func (l *encoding) repair(lost []uint16) {
	if len(lost) == 0 {
		return
	}
	if t := l.track.Load(); t.source != nil {
		t.source.RequestRetransmission(l.rid, lost)
	}
}
