// Package packet holds received RTP packets: parsed once, then shared by the
// cache and every subscriber without copying.
//
// A Packet is immutable from the moment it is shared, and counted: Retain for
// every further holder, Release by each of them. Parsing allocates nothing
// beyond the pooled packet itself, checks every bound, and reads of the payload
// only the codec's descriptor and first bytes, so that end-to-end encrypted
// media is forwarded like any other.
package packet

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the pooled buffers, bytes. A larger packet gets a buffer of its own,
// which the garbage collector takes back.
const (
	smallSize = 256  // audio
	largeSize = 1500 // one Ethernet frame
)

// MaxSize is the largest packet that is accepted, bytes: the read buffer of the
// SRTP session.
const MaxSize = 8192

// maxExtensions bounds the header extension elements kept of one packet; more
// are ignored.
const maxExtensions = 16

var (
	// ErrTruncated means that the packet ends before a length in it says.
	ErrTruncated = errors.New("rtp packet is truncated")
	// ErrVersion means that the packet is not RTP version 2.
	ErrVersion = errors.New("rtp version is not 2")
	// ErrSize means that the packet is larger than MaxSize.
	ErrSize = errors.New("rtp packet is too large")
)

// Packet is one RTP packet (RFC 3550 section 5.1). The fields are set by Parse
// and by the one goroutine that takes the packet in; nobody writes them once
// the packet is shared.
type Packet struct {
	// Sequence is the sequence number, unwrapped: its low 16 bits are the
	// number on the wire. Parse sets those bits only.
	Sequence uint64
	// Arrival is when the packet came in, monotonic.
	Arrival time.Duration
	// Stream tells apart the sources that fed one layer one after the other.
	// Zero until the packet is taken in.
	Stream uint32
	// Timestamp is the RTP timestamp, in units of the codec's clock rate.
	Timestamp uint32
	// SSRC is the synchronization source.
	SSRC uint32
	// Layer is the index of the packet's layer within its publication.
	Layer uint8
	// PayloadType is 0 to 127.
	PayloadType uint8
	// Marker is the marker bit: the end of a frame for video.
	Marker bool
	// Media is what was read of the payload.
	Media Media

	refs       atomic.Int32
	extensions [maxExtensions]element
	count      uint8 // of extensions
	from, to   uint16
	size       uint16
	data       []byte
	pool       *sync.Pool
}

// element is one header extension element: data[at : at+length].
type element struct {
	id     uint8
	length uint8
	at     uint16
}

var (
	small = newPool(smallSize)
	large = newPool(largeSize)
)

func newPool(size int) *sync.Pool {
	pool := &sync.Pool{}
	pool.New = func() any { return &Packet{data: make([]byte, size), pool: pool} }
	return pool
}

// Parse copies the RTP packet raw, which arrived at the given monotonic time,
// and reads its header. The caller holds the one reference. It fails with
// ErrTruncated, ErrVersion or ErrSize and then holds nothing.
func Parse(raw []byte, arrival time.Duration) (*Packet, error) {
	if len(raw) > MaxSize {
		return nil, ErrSize
	}
	p := take(len(raw))
	copy(p.data, raw)
	p.size = uint16(len(raw))
	p.Arrival = arrival
	if err := p.parse(); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

func take(size int) *Packet {
	var p *Packet
	switch {
	case size <= smallSize:
		p = small.Get().(*Packet)
	case size <= largeSize:
		p = large.Get().(*Packet)
	default:
		p = &Packet{data: make([]byte, size)}
	}
	p.refs.Store(1)
	p.Stream, p.Layer, p.count, p.Media = 0, 0, 0, Media{}
	return p
}

// Retain adds a holder.
func (p *Packet) Retain() { p.refs.Add(1) }

// Release gives up one reference; the last one returns the packet to its pool.
// The caller must not touch the packet afterwards.
func (p *Packet) Release() {
	switch n := p.refs.Add(-1); {
	case n == 0 && p.pool != nil:
		p.pool.Put(p)
	case n < 0:
		panic("packet: released more often than retained")
	}
}

func (p *Packet) parse() error {
	b := p.data[:p.size]
	if len(b) < 12 {
		return ErrTruncated
	}
	if b[0]>>6 != 2 {
		return ErrVersion
	}
	p.Marker = b[1]&0x80 != 0
	p.PayloadType = b[1] & 0x7f
	p.Sequence = uint64(binary.BigEndian.Uint16(b[2:]))
	p.Timestamp = binary.BigEndian.Uint32(b[4:])
	p.SSRC = binary.BigEndian.Uint32(b[8:])
	at := 12 + 4*int(b[0]&0x0f)
	if len(b) < at {
		return ErrTruncated
	}
	if b[0]&0x10 != 0 {
		if len(b) < at+4 {
			return ErrTruncated
		}
		profile := binary.BigEndian.Uint16(b[at:])
		end := at + 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
		if len(b) < end {
			return ErrTruncated
		}
		p.parseExtensions(profile, at+4, end)
		at = end
	}
	end := len(b)
	if b[0]&0x20 != 0 {
		// RFC 3550 section 5.1: the last octet counts the padding, itself included.
		padding := 0
		if end > at {
			padding = int(b[end-1])
		}
		if padding == 0 || padding > end-at {
			return ErrTruncated
		}
		end -= padding
	}
	p.from, p.to = uint16(at), uint16(end)
	return nil
}

// parseExtensions reads the elements of RFC 8285. Elements of an unknown
// profile, and what follows a malformed element, are ignored.
func (p *Packet) parseExtensions(profile uint16, at, end int) {
	b := p.data
	oneByte := profile == 0xBEDE
	if !oneByte && profile&0xFFF0 != 0x1000 {
		return
	}
	for at < end && p.count < maxExtensions {
		if b[at] == 0 { // padding between elements
			at++
			continue
		}
		id, length, head := b[at], 0, 2
		if oneByte {
			id, length, head = b[at]>>4, int(b[at]&0x0f)+1, 1
			if id == 15 {
				return // RFC 8285 section 4.2: stop here
			}
		} else if at+1 < end {
			length = int(b[at+1])
		}
		if at+head+length > end {
			return
		}
		if id != 0 {
			p.extensions[p.count] = element{id: id, length: uint8(length), at: uint16(at + head)}
			p.count++
		}
		at += head + length
	}
}

// Extensions returns how many header extension elements were kept.
func (p *Packet) Extensions() int { return int(p.count) }

// ExtensionAt returns the i-th kept element: its id on the publisher's side and
// its value, a view that lives as long as the packet.
func (p *Packet) ExtensionAt(i int) (id uint8, value []byte) {
	e := p.extensions[i]
	return e.id, p.data[e.at : e.at+uint16(e.length)]
}

// Extension returns the value of the element with this id, or nil. An element
// without content is an empty, non-nil value.
func (p *Packet) Extension(id uint8) []byte {
	for i := range int(p.count) {
		if e := p.extensions[i]; e.id == id {
			return p.data[e.at : e.at+uint16(e.length)]
		}
	}
	return nil
}

// Payload returns the payload without padding: a view that must not be written
// and lives as long as the packet.
func (p *Packet) Payload() []byte { return p.data[p.from:p.to] }

// Raw is the whole packet as it came in: a view that must not be written and
// lives as long as the packet.
func (p *Packet) Raw() []byte { return p.data[:p.size] }

// Size is the packet's whole length on the wire, header and padding included,
// bytes.
func (p *Packet) Size() int { return int(p.size) }

// Footprint is the memory that the packet holds, bytes.
func (p *Packet) Footprint() int { return len(p.data) }

// Restore turns a retransmission (RFC 4588 section 4) into the packet that was
// lost: the original sequence number is taken from the payload's first two
// bytes. It reports false, and changes nothing, if the payload is shorter, as
// in a padding-only probe. To be called before the packet is shared.
func (p *Packet) Restore(ssrc uint32, payloadType uint8) bool {
	payload := p.Payload()
	if len(payload) < 2 {
		return false
	}
	p.Sequence = uint64(binary.BigEndian.Uint16(payload))
	p.SSRC, p.PayloadType = ssrc, payloadType
	p.from += 2
	return true
}
