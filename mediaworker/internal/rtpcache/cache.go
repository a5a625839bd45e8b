// Package rtpcache keeps the recent packets of one publication layer, for
// retransmissions and late joiners: the shared packets themselves, one copy
// whatever the audience, bounded in number, bytes and age.
package rtpcache

import (
	"time"

	"switchboard/mediaworker/internal/packet"
)

// Limits bound a Cache. All must be positive.
type Limits struct {
	// Packets is the most packets kept, a power of two: also the widest range
	// of sequence numbers.
	Packets int
	// Bytes is the most memory that kept packets hold.
	Bytes int
	// Age is the longest that a packet is kept after its arrival.
	Age time.Duration
}

// initialSlots is a power of two, so that an idle layer costs little.
const initialSlots = 64

// Cache holds packets by their unwrapped sequence numbers. Its owner serialises
// the calls.
type Cache struct {
	limits Limits
	slots  []*packet.Packet // by sequence modulo len, a power of two
	oldest uint64           // no packet below is held
	next   uint64           // one above the highest held; oldest == next: empty
	bytes  int
}

// New returns an empty cache.
func New(limits Limits) *Cache {
	return &Cache{limits: limits, slots: make([]*packet.Packet, min(initialSlots, limits.Packets))}
}

// Put keeps p, retaining it, and gives up what no longer fits. A packet that is
// held already, or is older than the whole window, is not kept.
func (c *Cache) Put(p *packet.Packet) {
	seq := p.Sequence
	if c.oldest == c.next {
		c.oldest, c.next = seq, seq
	}
	if seq >= c.next {
		if seq-c.next >= uint64(c.limits.Packets) {
			c.Clear()
			c.oldest = seq
		}
		c.next = seq + 1
	}
	if most := uint64(c.limits.Packets); c.next-c.oldest > most {
		c.evictTo(c.next - most)
	}
	if seq < c.oldest {
		if c.next-seq > uint64(c.limits.Packets) || c.bytes+p.Footprint() > c.limits.Bytes {
			return
		}
		c.oldest = seq
	}
	c.grow()
	slot := &c.slots[seq&uint64(len(c.slots)-1)]
	if *slot != nil {
		return
	}
	p.Retain()
	*slot = p
	c.bytes += p.Footprint()
	for c.bytes > c.limits.Bytes {
		c.evictTo(c.oldest + 1)
	}
	c.Trim(p.Arrival)
}

// Get returns the packet, retained for the caller, or nil.
func (c *Cache) Get(sequence uint64) *packet.Packet {
	p := c.at(sequence)
	if p != nil {
		p.Retain()
	}
	return p
}

// Append adds to dst every packet from first to the newest, retained for the
// caller. It reports false, and adds nothing, unless all of them are held and
// they are at most cap(dst)-len(dst).
func (c *Cache) Append(dst []*packet.Packet, first uint64) ([]*packet.Packet, bool) {
	if first < c.oldest || first >= c.next || c.next-first > uint64(cap(dst)-len(dst)) {
		return dst, false
	}
	for seq := first; seq < c.next; seq++ {
		if c.at(seq) == nil {
			return dst, false
		}
	}
	for seq := first; seq < c.next; seq++ {
		dst = append(dst, c.Get(seq))
	}
	return dst, true
}

// Trim gives up packets that are too old at the given time.
func (c *Cache) Trim(now time.Duration) {
	for c.oldest < c.next {
		if p := c.at(c.oldest); p != nil && now-p.Arrival <= c.limits.Age {
			return
		}
		c.evictTo(c.oldest + 1)
	}
}

// Clear gives up every packet.
func (c *Cache) Clear() { c.evictTo(c.next) }

// Bytes is the memory that the kept packets hold.
func (c *Cache) Bytes() int { return c.bytes }

func (c *Cache) at(seq uint64) *packet.Packet {
	if seq < c.oldest || seq >= c.next {
		return nil
	}
	return c.slots[seq&uint64(len(c.slots)-1)]
}

func (c *Cache) evictTo(oldest uint64) {
	for ; c.oldest < oldest; c.oldest++ {
		slot := &c.slots[c.oldest&uint64(len(c.slots)-1)]
		if *slot == nil {
			continue
		}
		c.bytes -= (*slot).Footprint()
		(*slot).Release()
		*slot = nil
	}
}

// grow makes room for the whole range, which is within the limit.
func (c *Cache) grow() {
	size := len(c.slots)
	for uint64(size) < c.next-c.oldest {
		size *= 2
	}
	if size == len(c.slots) {
		return
	}
	slots := make([]*packet.Packet, size)
	for _, p := range c.slots {
		if p != nil {
			slots[p.Sequence&uint64(size-1)] = p
		}
	}
	c.slots = slots
}
