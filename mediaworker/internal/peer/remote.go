package peer

import (
	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
)

// stand-ins are all that pion knows of formats: matching a browser's forty
// would be most of the work of a join, and its answer would hold for all
// sections of a kind for ever. It never sees the packets.
var (
	standInAudio = content{formats: []string{"111"}, lines: []string{"rtpmap:111 opus/48000/2"}}
	standInVideo = content{formats: []string{"96", "97"}, lines: []string{"rtpmap:96 VP8/90000", "rtpmap:97 rtx/90000", "fmtp:97 apt=96"}}
)

// newEngine returns a media engine with the stand-ins.
func newEngine() (*webrtc.MediaEngine, error) {
	engine := &webrtc.MediaEngine{}
	for _, f := range []struct {
		pt   webrtc.PayloadType
		c    webrtc.RTPCodecCapability
		kind webrtc.RTPCodecType
	}{
		{111, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, webrtc.RTPCodecTypeAudio},
		{96, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, webrtc.RTPCodecTypeVideo},
		{97, webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: "apt=96"}, webrtc.RTPCodecTypeVideo},
	} {
		if err := engine.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: f.c, PayloadType: f.pt}, f.kind); err != nil {
			return nil, err
		}
	}
	return engine, nil
}

// toPion returns the client's description as pion gets it: with the names of
// our lines for mids, a direction in every section, stand-ins for formats, and
// no streams, which it has nothing to do with.
func (p *Peer) toPion(d *sdpx.Description) string {
	edits := make([]edit, len(d.Sections))
	for i := range d.Sections {
		s := &d.Sections[i]
		edits[i] = edit{mid: p.order[i].name, direction: s.Direction, sources: true}
		if !s.Live() {
			edits[i].direction = sdpx.Inactive
		}
		switch s.Kind {
		case sdpx.Audio:
			edits[i].content = &standInAudio
		case sdpx.Video:
			edits[i].content = &standInVideo
		}
	}
	if len(d.Sections) == 1 && edits[0].content != nil {
		// Without a declared stream pion would give any that comes to a section
		// of its own making.
		declared := *edits[0].content
		declared.lines = append(declared.lines[:len(declared.lines):len(declared.lines)], "ssrc:1 cname:none")
		edits[0].content = &declared
	}
	return rewrite(d.Text, edits)
}

// transportCC is the id of the transport-wide sequence number extension, the
// same in all sections of a bundle, or 0.
func transportCC(d *sdpx.Description) uint8 {
	for i := range d.Sections {
		s := &d.Sections[i]
		if id := extensionIDs(s)[forward.URITransportWide]; s.Live() && s.Direction.Sends() && id != 0 {
			return id
		}
	}
	return 0
}
