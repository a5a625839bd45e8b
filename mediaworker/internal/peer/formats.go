package peer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
)

// content is what we write into a media section: its formats, header extensions
// and layers. pion has no part in them.
type content struct {
	formats []string // payload types, for the m= line
	lines   []string // attributes without "a="
}

func (c *content) format(f sdpx.Codec) {
	c.formats = append(c.formats, strconv.Itoa(int(f.PayloadType)))
	line := fmt.Sprintf("rtpmap:%d %s/%d", f.PayloadType, f.Name, f.ClockRate)
	if f.Channels > 1 {
		line += "/" + strconv.Itoa(int(f.Channels))
	}
	c.lines = append(c.lines, line)
	if f.Fmtp != "" {
		c.lines = append(c.lines, fmt.Sprintf("fmtp:%d %s", f.PayloadType, f.Fmtp))
	}
	for _, fb := range f.Feedback {
		c.lines = append(c.lines, fmt.Sprintf("rtcp-fb:%d %s", f.PayloadType, fb))
	}
}

func (c *content) extension(id uint8, uri string) {
	c.lines = append(c.lines, fmt.Sprintf("extmap:%d %s", id, uri))
}

// answerContent answers the client's section: of its formats those we forward,
// with the client's own parameters, of its extensions those we know, and all
// layers that it sends. No formats means that nothing of it can be used.
func answerContent(offered *sdpx.Section) content {
	var c content
	accepted := make(map[string]bool)
	for _, f := range offered.Codecs {
		if !isRTX(f) && supported(asForward(offered, f)) {
			accepted[strconv.Itoa(int(f.PayloadType))] = true
		}
	}
	for _, f := range offered.Codecs {
		apt, _ := fmtpValue(f.Fmtp, "apt")
		if isRTX(f) && !accepted[apt] || !isRTX(f) && !accepted[strconv.Itoa(int(f.PayloadType))] {
			continue
		}
		f.Feedback = slices.DeleteFunc(slices.Clone(f.Feedback), func(fb string) bool {
			return isRTX(f) || !slices.Contains(feedback[offered.Kind], fb)
		})
		c.format(f)
	}
	ids := extensionIDs(offered)
	for _, e := range extensions {
		if id, ok := ids[e.uri]; ok {
			c.extension(id, e.uri)
		}
	}
	c.receiveLayers(offered)
	return c
}

// receiveLayers mirrors the client's simulcast (RFC 8853 section 5.3.2).
func (c *content) receiveLayers(offered *sdpx.Section) {
	if len(offered.Simulcast.Send) == 0 {
		return
	}
	for _, r := range offered.RIDs {
		if r.Send {
			c.lines = append(c.lines, "rid:"+r.ID+" recv")
		}
	}
	c.lines = append(c.lines, "simulcast:recv "+strings.Join(offered.Simulcast.Send, ";"))
}

// registry keeps payload types and extension ids unique in a bundle: one number
// means one thing in all of its sections (RFC 8843 section 9.1).
type registry struct {
	formats map[uint8]forward.Codec // RTX with the MIME type "rtx" and its apt
	ids     map[uint8]string
}

// learn takes note of what a description uses.
func (r *registry) learn(d *sdpx.Description) {
	r.formats, r.ids = make(map[uint8]forward.Codec), make(map[uint8]string)
	for i := range d.Sections {
		s := &d.Sections[i]
		for _, f := range s.Codecs {
			if _, known := r.formats[f.PayloadType]; !known {
				r.formats[f.PayloadType] = asForward(s, f)
			}
		}
		for _, e := range s.Extensions {
			if e.ID < 256 {
				r.ids[uint8(e.ID)] = e.URI
			}
		}
	}
}

// offerContent writes a section of ours for these formats. receive says whether
// the client is to send in it.
func (r *registry) offerContent(kind sdpx.Kind, list []forward.Codec, receive bool) content {
	var c content
	for _, f := range list {
		pt, rtx := r.assign(f)
		if pt == noPayloadType {
			continue
		}
		_, name, _ := strings.Cut(f.MimeType, "/")
		c.format(sdpx.Codec{
			PayloadType: pt, Name: name, ClockRate: f.ClockRate, Channels: f.Channels, Fmtp: f.Fmtp, Feedback: feedback[kind],
		})
		if rtx != noPayloadType && kind == sdpx.Video {
			c.format(sdpx.Codec{PayloadType: rtx, Name: "rtx", ClockRate: f.ClockRate, Fmtp: "apt=" + strconv.Itoa(int(pt))})
		}
	}
	for _, e := range extensions {
		if id, ok := r.id(e.uri); ok && e.of(kind) && (receive || !e.onlyReceiving) {
			c.extension(id, e.uri)
		}
	}
	return c
}

// noPayloadType says that all are taken.
const noPayloadType = 255

// assign returns the payload types under which the bundle knows the format and
// its RTX, or free ones, the wanted ones if possible.
func (r *registry) assign(f forward.Codec) (pt, rtx uint8) {
	pt, rtx = noPayloadType, noPayloadType
	for used, known := range r.formats {
		if compatible(known, f) && known.Fmtp == f.Fmtp {
			pt, rtx = min(pt, used), known.RTXPayloadType
		}
	}
	if pt == noPayloadType {
		pt = r.take(f.PayloadType, f)
		rtx = 0
	}
	if pt != noPayloadType && rtx == 0 {
		want := f.RTXPayloadType
		rtx = r.take(want, forward.Codec{MimeType: "rtx", Fmtp: "apt=" + strconv.Itoa(int(pt))})
		known := r.formats[pt]
		known.RTXPayloadType = rtx
		r.formats[pt] = known
	}
	return pt, rtx
}

// take gives the format the wanted payload type or a free dynamic one (RFC 3551
// section 6; 64 to 95 collide with RTCP, RFC 5761 section 4).
func (r *registry) take(want uint8, f forward.Codec) uint8 {
	free := func(pt uint8) bool { _, used := r.formats[pt]; return !used }
	found := uint8(noPayloadType)
	switch {
	case free(want) && (want != 0 || strings.EqualFold(f.MimeType, "audio/PCMU")):
		found = want
	default:
		for _, span := range [][2]uint8{{96, 127}, {35, 63}} {
			for pt := span[0]; pt <= span[1] && found == noPayloadType; pt++ {
				if free(pt) {
					found = pt
				}
			}
		}
	}
	if found != noPayloadType {
		r.formats[found] = f
	}
	return found
}

// id returns the id of the extension in the bundle, or a free one-byte id.
func (r *registry) id(uri string) (uint8, bool) {
	for id, known := range r.ids {
		if known == uri {
			return id, true
		}
	}
	for id := uint8(1); id < 15; id++ {
		if _, used := r.ids[id]; !used {
			r.ids[id] = uri
			return id, true
		}
	}
	return 0, false
}

// offered lists the formats of a section of ours: what can carry the wanted
// codec, or all of the kind. A profile is offered as its publisher wrote it.
func offered(kind sdpx.Kind, want forward.Codec) []forward.Codec {
	var list []forward.Codec
	for _, c := range codecs {
		switch {
		case c.kind() != kind:
		case want.MimeType == "":
			list = append(list, c.forward())
		case compatible(c.forward(), want):
			f := c.forward()
			if kind == sdpx.Video {
				f.Fmtp = want.Fmtp
			}
			return []forward.Codec{f}
		}
	}
	if list == nil && supported(want) {
		want.PayloadType, want.RTXPayloadType = 96, 97 // free ones are found if these are taken
		list = []forward.Codec{want}
	}
	return list
}
