package peer

import (
	"sync"

	"github.com/pion/webrtc/v4"

	"switchboard/shared/wire"
)

// sender is the track that pion thinks we send in a section. pion binds it when
// the section is negotiated; from then on the forwarder writes through it.
type sender struct {
	kind          wire.Kind
	stream, track string // the section's msid (RFC 8830)

	mu      sync.Mutex // guards what follows
	writer  webrtc.TrackLocalWriter
	ssrc    uint32
	rtxSSRC uint32
}

var _ webrtc.TrackLocal = (*sender)(nil)

// Bind implements webrtc.TrackLocal. What pion calls the codec does not matter:
// payload types come from the client's description.
func (s *sender) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer, s.ssrc, s.rtxSSRC = c.WriteStream(), uint32(c.SSRC()), uint32(c.SSRCRetransmission())
	formats := c.CodecParameters()
	if len(formats) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	return formats[0], nil
}

// Unbind implements webrtc.TrackLocal.
func (s *sender) Unbind(webrtc.TrackLocalContext) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writer = nil
	return nil
}

// bound returns the write stream and its SSRCs, or ok false before pion bound
// the sender and after it stopped it.
func (s *sender) bound() (w webrtc.TrackLocalWriter, ssrc, rtxSSRC uint32, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer, s.ssrc, s.rtxSSRC, s.writer != nil
}

// ID implements webrtc.TrackLocal.
func (s *sender) ID() string { return s.track }

// RID implements webrtc.TrackLocal: we never send simulcast.
func (s *sender) RID() string { return "" }

// StreamID implements webrtc.TrackLocal.
func (s *sender) StreamID() string { return s.stream }

// Kind implements webrtc.TrackLocal.
func (s *sender) Kind() webrtc.RTPCodecType { return pionKind(s.kind) }

// stopped reports whether pion has taken the write stream back.
func (s *sender) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writer == nil && s.ssrc != 0
}
