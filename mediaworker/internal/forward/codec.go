package forward

// Codec is what a stream carries, as negotiated with one peer.
type Codec struct {
	// MimeType such as "video/VP8"; compared without regard to case.
	MimeType string
	// ClockRate of the RTP timestamps, Hz.
	ClockRate uint32
	// Channels of audio, else 0.
	Channels uint16
	// Fmtp is the format's parameters (RFC 8866 section 6.15), verbatim.
	Fmtp string
	// PayloadType and RTXPayloadType are 0 to 127; RTXPayloadType 0 means that
	// retransmissions have no format of their own (RFC 4588).
	PayloadType, RTXPayloadType uint8
}

// HeaderExtensions maps the URI of each header extension that one peer
// negotiated to its id, 1 to 255 (RFC 8285).
type HeaderExtensions map[string]uint8

// The header extensions that the forwarder reads or writes itself. Every other
// extension that both sides negotiated passes with its id rewritten; an
// extension that one side lacks is left out.
const (
	URIMid           = "urn:ietf:params:rtp-hdrext:sdes:mid"
	URIStreamID      = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	URIRepairedID    = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	URIAbsSendTime   = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
	URITransportWide = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)
