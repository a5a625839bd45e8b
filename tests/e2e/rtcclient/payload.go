package rtcclient

import (
	"encoding/binary"
)

// Every payload ends with a trailer, behind filler whose bytes follow from the
// packet's number:
//
//	magic(4) source(4) number(8) timestamp(4) flags(1) filler length(2)
const (
	trailerSize  = 23
	trailerMagic = 0x5357_4221
	flagKeyframe = 1
)

// stamp says which packet of which source a payload is.
type stamp struct {
	source    uint32
	number    uint64
	timestamp uint32
	keyframe  bool
}

// appendPayload appends a payload of size bytes (more if size is too small for
// its fixed parts) that begins with head.
func appendPayload(dst, head []byte, s stamp, size int) []byte {
	filler := max(0, size-len(head)-trailerSize)
	dst = append(dst, head...)
	for i := range filler {
		dst = append(dst, fillerByte(s.number, i))
	}
	dst = binary.BigEndian.AppendUint32(dst, trailerMagic)
	dst = binary.BigEndian.AppendUint32(dst, s.source)
	dst = binary.BigEndian.AppendUint64(dst, s.number)
	dst = binary.BigEndian.AppendUint32(dst, s.timestamp)
	var flags byte
	if s.keyframe {
		flags |= flagKeyframe
	}
	dst = append(dst, flags)
	return binary.BigEndian.AppendUint16(dst, uint16(filler))
}

// parsePayload reads the trailer of a payload. ok is false when the payload is
// not one of a Source; intact says that the filler is as it was sent.
func parsePayload(p []byte) (s stamp, intact, ok bool) {
	if len(p) < trailerSize {
		return s, false, false
	}
	t := p[len(p)-trailerSize:]
	if binary.BigEndian.Uint32(t) != trailerMagic {
		return s, false, false
	}
	s = stamp{
		source:    binary.BigEndian.Uint32(t[4:]),
		number:    binary.BigEndian.Uint64(t[8:]),
		timestamp: binary.BigEndian.Uint32(t[16:]),
		keyframe:  t[20]&flagKeyframe != 0,
	}
	filler := int(binary.BigEndian.Uint16(t[21:]))
	body := p[:len(p)-trailerSize]
	if filler > len(body) {
		return s, false, true
	}
	for i, b := range body[len(body)-filler:] {
		if b != fillerByte(s.number, i) {
			return s, false, true
		}
	}
	return s, true, true
}

func fillerByte(number uint64, i int) byte { return byte(number*7 + uint64(i)) }

// vp8Head returns the payload descriptor (RFC 7741 section 4.2, with a 15-bit
// picture id) and, for the first packet of a frame, the frame header (RFC 6386
// section 9.1).
func vp8Head(picture uint16, first, keyframe bool) []byte {
	const extended, start, hasPicture = 0x80, 0x10, 0x80
	head := []byte{extended, hasPicture, 0x80 | byte(picture>>8), byte(picture)}
	if !first {
		return head
	}
	head[0] |= start
	if keyframe {
		return append(head, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00)
	}
	return append(head, 0x11, 0, 0)
}

// opusHead is the TOC byte (RFC 6716 section 3.1) of one 20 ms mono frame.
func opusHead() []byte { return []byte{0x78} }
