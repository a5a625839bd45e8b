// Package nack decides which lost packets of a stream to ask its sender for,
// and when: once when the gap is noticed, then at intervals of the round trip,
// until the packet arrives or is not worth having. It is pure: time is an
// argument.
package nack

import (
	"slices"
	"time"
)

const (
	// window is how many sequence numbers below the highest are remembered.
	window = 2048
	// maxGap is the largest jump that is taken for loss; a larger one is a new
	// beginning and nothing of it is asked for.
	maxGap = 1000
	// maxMissing bounds the packets being asked for; the oldest are given up.
	maxMissing = 256
	// maxTries and maxAge bound the requests for one packet.
	maxTries = 10
	maxAge   = 2 * time.Second
	// defaultRTT is assumed until a retransmission has been timed.
	defaultRTT = 100 * time.Millisecond
	// minInterval is the shortest time between two requests for one packet.
	minInterval = 20 * time.Millisecond
)

// Outcome says what a received packet is.
type Outcome uint8

const (
	// Fresh is a packet above all earlier ones.
	Fresh Outcome = iota
	// Late is a packet seen for the first time, below the highest: reordered
	// or recovered.
	Late
	// Stale is a packet that was seen before, or is too old to tell.
	Stale
)

// Log is the receive log of one stream. The zero value is ready. Its owner
// serialises the calls. Sequence numbers are unwrapped.
type Log struct {
	highest  uint64
	started  bool
	received [window / 64]uint64 // bit per number in (highest-window, highest]
	missing  []missing           // by sequence
	rtt      time.Duration       // smoothed, 0: unknown
}

type missing struct {
	sequence    uint64
	noticed     time.Duration
	asked, next time.Duration // last and next request
	tries       uint8
	timed       bool // asked for once: the round trip can be measured
}

// Received notes a packet that arrived by any path, retransmissions included.
func (l *Log) Received(sequence uint64, now time.Duration) Outcome {
	switch {
	case !l.started:
		l.started, l.highest = true, sequence
		l.mark(sequence)
		return Fresh
	case sequence > l.highest:
		l.advance(sequence, now)
		return Fresh
	case l.highest-sequence >= window || l.has(sequence):
		return Stale
	}
	l.mark(sequence)
	l.found(sequence, now)
	return Late
}

func (l *Log) advance(sequence uint64, now time.Duration) {
	from := l.highest + 1
	l.highest = sequence
	if sequence-from > maxGap {
		l.received = [window / 64]uint64{}
		l.missing = l.missing[:0]
		l.mark(sequence)
		return
	}
	for s := from; s < sequence; s++ {
		l.clear(s)
	}
	// Of a long gap only the newest can be asked for.
	first := max(from, sequence-min(sequence, maxMissing))
	if excess := len(l.missing) + int(sequence-first) - maxMissing; excess > 0 {
		l.missing = slices.Delete(l.missing, 0, excess)
	}
	for s := first; s < sequence; s++ {
		l.missing = append(l.missing, missing{sequence: s, noticed: now, next: now})
	}
	l.mark(sequence)
}

// Request notes that a subscriber asked for a packet. One that is missing is
// asked for already, whoever wants it; one that was given up gets a last try.
func (l *Log) Request(sequence uint64, now time.Duration) {
	if !l.started || sequence > l.highest || l.highest-sequence >= window || l.has(sequence) {
		return
	}
	if _, asked := l.find(sequence); !asked {
		l.miss(missing{sequence: sequence, noticed: now, next: now, tries: maxTries - 1})
	}
}

// Due appends to dst the numbers on the wire of the packets to ask for now, and
// counts them as asked for.
func (l *Log) Due(now time.Duration, dst []uint16) []uint16 {
	if len(l.missing) == 0 {
		return dst
	}
	interval := l.interval()
	kept := l.missing[:0]
	for _, m := range l.missing {
		if now < m.next {
			kept = append(kept, m)
			continue
		}
		if m.tries >= maxTries || now-m.noticed > maxAge {
			continue
		}
		m.asked, m.next = now, now+interval
		m.tries++
		m.timed = m.tries == 1
		dst = append(dst, uint16(m.sequence))
		kept = append(kept, m)
	}
	l.missing = kept
	return dst
}

// Next is how long after now Due should be called again, or false if nothing is
// missing.
func (l *Log) Next() (time.Duration, bool) { return l.interval(), len(l.missing) > 0 }

// RTT is the smoothed time from a request to its packet, or 0 while unknown.
func (l *Log) RTT() time.Duration { return l.rtt }

// Restart forgets everything but the round trip: another stream follows.
func (l *Log) Restart() {
	*l = Log{rtt: l.rtt, missing: l.missing[:0]}
}

func (l *Log) interval() time.Duration {
	rtt := l.rtt
	if rtt == 0 {
		rtt = defaultRTT
	}
	return max(rtt+rtt/4, minInterval)
}

func (l *Log) find(sequence uint64) (int, bool) {
	return slices.BinarySearchFunc(l.missing, sequence, func(m missing, s uint64) int {
		switch {
		case m.sequence < s:
			return -1
		case m.sequence > s:
			return 1
		}
		return 0
	})
}

func (l *Log) miss(m missing) {
	if len(l.missing) == maxMissing {
		l.missing = slices.Delete(l.missing, 0, 1)
	}
	i, _ := l.find(m.sequence)
	l.missing = slices.Insert(l.missing, i, m)
}

func (l *Log) found(sequence uint64, now time.Duration) {
	i, ok := l.find(sequence)
	if !ok {
		return
	}
	if m := l.missing[i]; m.timed {
		if sample := now - m.asked; l.rtt == 0 {
			l.rtt = sample
		} else {
			l.rtt += (sample - l.rtt) / 8
		}
	}
	l.missing = slices.Delete(l.missing, i, i+1)
}

func (l *Log) has(s uint64) bool { return l.received[s%window/64]&(1<<(s%64)) != 0 }
func (l *Log) mark(s uint64)     { l.received[s%window/64] |= 1 << (s % 64) }
func (l *Log) clear(s uint64)    { l.received[s%window/64] &^= 1 << (s % 64) }
