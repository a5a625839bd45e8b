package packet

import "strings"

// Format is how a payload begins. It says how much of it may be read.
type Format uint8

// The formats whose descriptors are read; of every other payload nothing is.
const (
	Opaque Format = iota
	VP8
	VP9
	H264
	H265
	AV1
)

// FormatOf returns the format of a MIME type such as "video/VP8", in any case.
func FormatOf(mime string) Format {
	switch strings.ToLower(mime) {
	case "video/vp8":
		return VP8
	case "video/vp9":
		return VP9
	case "video/h264":
		return H264
	case "video/h265":
		return H265
	case "video/av1":
		return AV1
	}
	return Opaque
}

// Media is what a payload's descriptor and first bytes say.
type Media struct {
	// Keyframe: decoding can start with this packet. True of every packet of
	// an opaque format, audio included: nothing better is known.
	Keyframe bool
	// TemporalID is the temporal layer, 0 where there is none.
	TemporalID uint8
	// PictureID is 7 or 15 bits wide (PictureIDBits); 0 bits: there is none.
	PictureID     uint16
	PictureIDBits uint8
	// PictureIDAt and TL0At are offsets in the payload; TL0At 0: there is none.
	PictureIDAt uint8
	TL0At       uint8
	// TL0 is TL0PICIDX (RFC 7741 section 4.2).
	TL0 uint8
}

// Inspect fills Media from the payload. A descriptor that ends early, or no
// payload, leaves it empty. To be called before the packet is shared.
func (p *Packet) Inspect(f Format) {
	b := p.Payload()
	if len(b) == 0 {
		return
	}
	switch f {
	case VP8:
		p.Media = inspectVP8(b)
	case VP9:
		p.Media = inspectVP9(b)
	case H264:
		p.Media.Keyframe = keyframeH264(b)
	case H265:
		p.Media.Keyframe = keyframeH265(b)
	case AV1:
		// AV1 RTP payload format section 4.4: N, the first packet of a coded
		// video sequence.
		p.Media.Keyframe = len(b) > 0 && b[0]&0x08 != 0
	case Opaque:
		p.Media.Keyframe = true
	}
}

// inspectVP8 reads the payload descriptor of RFC 7741 section 4.2 and the first
// bit of the payload header, which is never encrypted.
func inspectVP8(b []byte) Media {
	var m Media
	if len(b) < 2 {
		return Media{}
	}
	first, at := b[0], 1
	if first&0x80 != 0 {
		x := b[1]
		at = 2
		if x&0x80 != 0 && !m.pictureID(b, &at) {
			return Media{}
		}
		if x&0x40 != 0 {
			if at >= len(b) {
				return Media{}
			}
			m.TL0At, m.TL0 = uint8(at), b[at]
			at++
		}
		if x&0x30 != 0 {
			if at >= len(b) {
				return Media{}
			}
			if x&0x20 != 0 {
				m.TemporalID = b[at] >> 6
			}
			at++
		}
	}
	startOfFrame := first&0x17 == 0x10 // S set, partition 0
	m.Keyframe = startOfFrame && at < len(b) && b[at]&0x01 == 0
	return m
}

// inspectVP9 reads the payload descriptor of RFC 9628 section 4.2.
func inspectVP9(b []byte) Media {
	var m Media
	if len(b) < 1 {
		return Media{}
	}
	first, at := b[0], 1
	if first&0x80 != 0 && !m.pictureID(b, &at) {
		return Media{}
	}
	spatial := uint8(0)
	if first&0x20 != 0 {
		if at >= len(b) {
			return Media{}
		}
		m.TemporalID, spatial = b[at]>>5, b[at]>>1&0x07
		at++
		if first&0x10 == 0 { // not flexible mode
			if at >= len(b) {
				return Media{}
			}
			m.TL0At, m.TL0 = uint8(at), b[at]
		}
	}
	// Not predicted from another picture, begins a frame of the base layer.
	m.Keyframe = first&0x40 == 0 && first&0x08 != 0 && spatial == 0
	return m
}

func (m *Media) pictureID(b []byte, at *int) bool {
	i := *at
	if i >= len(b) {
		return false
	}
	m.PictureIDAt, m.PictureID, m.PictureIDBits = uint8(i), uint16(b[i]&0x7f), 7
	if b[i]&0x80 != 0 {
		if i++; i >= len(b) {
			return false
		}
		m.PictureID, m.PictureIDBits = m.PictureID<<8|uint16(b[i]), 15
	}
	*at = i + 1
	return true
}

// keyframeH264 looks for a sequence parameter set or the beginning of an IDR
// picture (RFC 6184 section 5.2).
func keyframeH264(b []byte) bool {
	if len(b) < 2 {
		return false
	}
	switch b[0] & 0x1f {
	case 24: // STAP-A
		for at := 1; at+3 <= len(b); {
			if isKeyH264(b[at+2]) {
				return true
			}
			at += 2 + int(b[at])<<8 + int(b[at+1])
		}
		return false
	case 28, 29: // FU-A, FU-B
		return b[1]&0x80 != 0 && isKeyH264(b[1])
	default:
		return isKeyH264(b[0])
	}
}

func isKeyH264(nal byte) bool { return nal&0x1f == 5 || nal&0x1f == 7 }

// keyframeH265 looks for a parameter set or the beginning of an intra random
// access picture (RFC 7798 section 4.4).
func keyframeH265(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	switch b[0] >> 1 & 0x3f {
	case 48: // aggregation packet
		for at := 2; at+3 <= len(b); {
			if isKeyH265(b[at+2] >> 1 & 0x3f) {
				return true
			}
			at += 2 + int(b[at])<<8 + int(b[at+1])
		}
		return false
	case 49: // fragmentation unit
		return b[2]&0x80 != 0 && isKeyH265(b[2]&0x3f)
	default:
		return isKeyH265(b[0] >> 1 & 0x3f)
	}
}

func isKeyH265(nal byte) bool { return nal >= 16 && nal <= 21 || nal == 32 || nal == 33 }
