package peer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// toPion returns the client's description as pion gets it: with the names of
// our lines for mids, a direction in every section, and a few formats more. It
// also returns the sections that it added formats to.
func (p *Peer) toPion(d *sdpx.Description) (text string, completed map[*sdpx.Section]bool) {
	edits := make([]edit, len(d.Sections))
	used := make(map[uint8]bool)
	for i := range d.Sections {
		for _, c := range d.Sections[i].Codecs {
			used[c.PayloadType] = true
		}
	}
	completed = make(map[*sdpx.Section]bool)
	for i := range d.Sections {
		s := &d.Sections[i]
		edits[i] = edit{mid: p.order[i].name, direction: s.Direction}
		if !s.Live() {
			edits[i].direction = sdpx.Inactive
			continue
		}
		p.learn(s)
		if !p.completed[s.Kind] && s.Kind != sdpx.Application {
			p.completed[s.Kind], completed[s] = true, true
			edits[i].formats, edits[i].attributes = missing(s, used)
		}
		if len(d.Sections) == 1 && len(s.Sources) == 0 && len(s.RIDs) == 0 && s.Kind != sdpx.Application {
			// pion would make a transceiver of its own for the stream.
			edits[i].attributes = append(edits[i].attributes, "ssrc:1 cname:none")
		}
	}
	return rewrite(d.Text, edits), completed
}

// missing lists the formats that the section lacks of those we have. pion
// never again offers a format that the first section of a kind had not, but a
// section lists only what its publication needs: so pion is told that the first
// one had them all. used are the payload types that are taken.
func missing(s *sdpx.Section, used map[uint8]bool) (formats, attributes []string) {
	for _, c := range codecs {
		if sdpx.Kind(c.kind()) != s.Kind {
			continue
		}
		if _, ok := find(s, forward.Codec{MimeType: c.mime, ClockRate: c.clockRate, Channels: c.channels, Fmtp: c.fmtp}); ok {
			continue
		}
		pt, ok := freePayloadType(c.pt, used)
		rtx, ok2 := uint8(0), true
		if ok && c.rtx != 0 {
			rtx, ok2 = freePayloadType(c.rtx, used)
		}
		if !ok || !ok2 {
			break
		}
		entry := c
		entry.pt, entry.rtx = pt, rtx
		for _, f := range entry.parameters() {
			formats = append(formats, strconv.Itoa(int(f.PayloadType)))
			attributes = append(attributes, describe(f)...)
		}
	}
	return formats, attributes
}

// freePayloadType returns want, or a dynamic payload type that is not taken
// (RFC 3551 section 6, RFC 5761 section 4), and takes it.
func freePayloadType(want uint8, used map[uint8]bool) (uint8, bool) {
	if !used[want] {
		used[want] = true
		return want, true
	}
	for _, r := range [][2]uint8{{96, 127}, {35, 63}} {
		for pt := r[0]; pt <= r[1]; pt++ {
			if !used[pt] {
				used[pt] = true
				return pt, true
			}
		}
	}
	return 0, false
}

func describe(f webrtc.RTPCodecParameters) []string {
	_, name, _ := strings.Cut(f.MimeType, "/")
	rtpmap := fmt.Sprintf("rtpmap:%d %s/%d", f.PayloadType, name, f.ClockRate)
	if f.Channels > 1 {
		rtpmap += "/" + strconv.Itoa(int(f.Channels))
	}
	lines := []string{rtpmap}
	if f.SDPFmtpLine != "" {
		lines = append(lines, fmt.Sprintf("fmtp:%d %s", f.PayloadType, f.SDPFmtpLine))
	}
	for _, fb := range f.RTCPFeedback {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("rtcp-fb:%d %s %s", f.PayloadType, fb.Type, fb.Parameter)))
	}
	return lines
}

// learn registers the profiles of the client that the table lacks, so that pion
// accepts them and answers with the client's own parameters.
func (p *Peer) learn(s *sdpx.Section) {
	for _, c := range s.Codecs {
		have := asForward(s, c)
		if !supported(have.MimeType) || known(have) {
			continue
		}
		// pion's own payload types do not matter once both sides have talked.
		used := make(map[uint8]bool)
		for _, f := range p.formats(pionKind(wire.Kind(s.Kind))) {
			used[uint8(f.PayloadType)] = true
		}
		entry := codec{mime: have.MimeType, clockRate: have.ClockRate, channels: have.Channels, fmtp: have.Fmtp}
		var ok, ok2 bool
		if entry.pt, ok = freePayloadType(have.PayloadType, used); !ok {
			return
		}
		if s.Kind == sdpx.Video {
			if entry.rtx, ok2 = freePayloadType(have.PayloadType, used); !ok2 {
				return
			}
		}
		for _, f := range entry.parameters() {
			if p.engine.RegisterCodec(f, pionKind(wire.Kind(s.Kind))) != nil {
				return
			}
		}
	}
}

// supported reports whether we forward the format in any profile.
func supported(mime string) bool {
	for _, c := range codecs {
		if strings.EqualFold(c.mime, mime) {
			return true
		}
	}
	return false
}

func known(have forward.Codec) bool {
	for _, c := range codecs {
		if compatible(have, forward.Codec{MimeType: c.mime, ClockRate: c.clockRate, Channels: c.channels, Fmtp: c.fmtp}) {
			return true
		}
	}
	return false
}

// transportCC is the id of the transport-wide sequence number extension, the
// same in all sections of a bundle, or 0.
func transportCC(d *sdpx.Description) uint8 {
	for i := range d.Sections {
		s := &d.Sections[i]
		for _, e := range s.Extensions {
			if s.Live() && s.Direction.Sends() && e.URI == forward.URITransportWide && e.ID < 256 {
				return uint8(e.ID)
			}
		}
	}
	return 0
}
