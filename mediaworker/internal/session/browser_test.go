package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// browser is the signalling half of a browser, by its rules (RFC 8829) and its
// habits: it numbers its mids, uses the place of a stopped section again for
// the next transceiver whatever its kind, and starts a new transport when the
// first mid of its bundle is another one than was negotiated. It checks every
// description of the SFU.
type browser struct {
	sections []*slot
	mids     int
	tag      string // of the bundle in force
	remote   string // the SFU's ufrag in force
	complain func(format string, args ...any)
}

// slot is one media line of the browser.
type slot struct {
	mid     string
	kind    wire.Kind
	sends   bool // the browser has a track for it
	direct  sdpx.Direction
	stopped bool
	ended   bool // stopped, and both sides have seen it
	ssrc    int
}

// add makes a sending transceiver, at the place of an ended section if there is one.
func (b *browser) add(kind wire.Kind) *slot {
	s := &slot{mid: strconv.Itoa(b.mids), kind: kind, sends: true, direct: sdpx.SendOnly, ssrc: 1000 + b.mids}
	b.mids++
	for b.find(s.mid) != nil { // the SFU has used the number
		s.mid = strconv.Itoa(b.mids)
		b.mids++
	}
	for i, old := range b.sections {
		if old.ended {
			b.sections[i] = s
			return s
		}
	}
	b.sections = append(b.sections, s)
	return s
}

func (b *browser) find(mid string) *slot {
	for _, s := range b.sections {
		if s.mid == mid {
			return s
		}
	}
	return nil
}

func (b *browser) stop(mid string) {
	s := b.find(mid)
	s.stopped, s.direct = true, sdpx.Inactive
}

// live lists the mids of sections that are not stopped.
func (b *browser) live() []string {
	var mids []string
	for _, s := range b.sections {
		if !s.stopped {
			mids = append(mids, s.mid)
		}
	}
	return mids
}

const browserFormats = `a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtcp-fb:111 transport-cc
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
`

const browserVideoFormats = `a=rtpmap:96 VP8/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e034
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
`

// text writes the browser's description; setup is actpass in an offer.
func (b *browser) text(setup string, only func(mid string) *sdpx.Section) *wire.SessionDescription {
	var out strings.Builder
	fmt.Fprintf(&out, "v=0\no=- 1 2 IN IP4 127.0.0.1\ns=-\nt=0 0\na=extmap-allow-mixed\na=msid-semantic: WMS\n")
	if live := b.live(); len(live) > 0 {
		fmt.Fprintf(&out, "a=group:BUNDLE %s\n", strings.Join(live, " "))
	}
	for _, s := range b.sections {
		port, formats, lines := 9, "111 63", browserFormats
		if s.kind == wire.Video {
			formats, lines = "96 97 103 104", browserVideoFormats
		}
		if s.stopped {
			port = 0
		}
		if only != nil {
			formats, lines = accepted(only(s.mid), lines)
		}
		fmt.Fprintf(&out, "m=%s %d UDP/TLS/RTP/SAVPF %s\nc=IN IP4 0.0.0.0\na=rtcp:9 IN IP4 0.0.0.0\n", s.kind, port, formats)
		fmt.Fprintf(&out, "a=ice-ufrag:brow\na=ice-pwd:0123456789012345678901\na=ice-options:trickle\n")
		fmt.Fprintf(&out, "a=fingerprint:sha-256 %s\na=setup:%s\na=mid:%s\n", strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), setup, s.mid)
		fmt.Fprintf(&out, "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\na=%s\na=rtcp-mux\na=rtcp-rsize\n%s", s.direct, lines)
		if s.direct.Sends() {
			fmt.Fprintf(&out, "a=msid:- track%d\na=ssrc:%d cname:x\na=ssrc:%d msid:- track%d\n", s.ssrc, s.ssrc, s.ssrc, s.ssrc)
		}
	}
	typ := wire.Offer
	if setup != "actpass" {
		typ = wire.Answer
	}
	return &wire.SessionDescription{Type: typ, SDP: strings.ReplaceAll(out.String(), "\n", "\r\n")}
}

// accepted are the formats of the SFU's section, in its words.
func accepted(section *sdpx.Section, lines string) (formats, text string) {
	var list []string
	var out strings.Builder
	for _, c := range section.Codecs {
		if !strings.Contains(lines, " "+c.Name+"/") {
			continue
		}
		list = append(list, strconv.Itoa(int(c.PayloadType)))
		fmt.Fprintf(&out, "a=rtpmap:%d %s/%d", c.PayloadType, c.Name, c.ClockRate)
		if c.Channels > 0 {
			fmt.Fprintf(&out, "/%d", c.Channels)
		}
		out.WriteString("\n")
		if c.Fmtp != "" {
			fmt.Fprintf(&out, "a=fmtp:%d %s\n", c.PayloadType, c.Fmtp)
		}
	}
	return strings.Join(list, " "), out.String()
}

func (b *browser) offer() *wire.SessionDescription { return b.text("actpass", nil) }

// applyAnswer checks and applies the SFU's answer to the browser's last offer.
func (b *browser) applyAnswer(d *wire.SessionDescription) {
	if d == nil || d.Type != wire.Answer {
		b.complain("no answer: %+v", d)
		return
	}
	answer, err := sdpx.Parse(d.SDP)
	if err != nil || len(answer.Sections) != len(b.sections) {
		b.complain("answer has other sections than the offer: %v\n%s", err, d.SDP)
		return
	}
	live := b.live()
	if !slices.Equal(answer.Bundle, live) {
		b.complain("answer bundles %v, offer %v", answer.Bundle, live)
	}
	for i, s := range b.sections {
		got := &answer.Sections[i]
		switch {
		case got.Mid != s.mid || got.Kind != sdpx.Kind(s.kind):
			b.complain("section %d of the answer is %s %q, of the offer %s %q", i, got.Kind, got.Mid, s.kind, s.mid)
		case got.Live() == s.stopped:
			b.complain("section %q: stopped is %v, port in the answer %d", s.mid, s.stopped, got.Port)
		case got.Direction.Sends() && !s.direct.Receives() || got.Direction.Receives() && !s.direct.Sends():
			b.complain("section %q: %s answers %s", s.mid, got.Direction, s.direct)
		case got.Live() && got.Setup != sdpx.Passive && got.Setup != sdpx.Active:
			b.complain("section %q: setup %s in an answer", s.mid, got.Setup)
		}
		s.ended = s.stopped
	}
	if len(live) == 0 {
		return
	}
	ufrag := answer.Section(live[0]).ICEUfrag
	if restarted := b.tag != "" && live[0] != b.tag; restarted && ufrag == b.remote {
		b.complain("the transport was dropped (%s, now %s), but the answer is of the same peer", b.tag, live[0])
	}
	b.tag, b.remote = live[0], ufrag
	b.checkCandidates(answer)
}

// checkCandidates: the first live section holds them, no other.
func (b *browser) checkCandidates(d *sdpx.Description) {
	first := true
	for i := range d.Sections {
		s := &d.Sections[i]
		if want := s.Live() && first; want != (len(s.Candidates) > 0) {
			b.complain("section %q has %d candidates", s.Mid, len(s.Candidates))
		}
		if s.Live() {
			first = false
		}
	}
}

// answerOffer checks and applies the SFU's offer and returns the answer. It
// lists the mids in which a track begins.
func (b *browser) answerOffer(d *wire.SessionDescription) (answer *wire.SessionDescription, began []string) {
	offer, err := sdpx.Parse(d.SDP)
	if err != nil || d.Type != wire.Offer || len(offer.Sections) < len(b.sections) {
		b.complain("offer drops sections: %v\n%s", err, d.SDP)
		return nil, nil
	}
	if b.tag != "" && offer.BundleTag() != b.tag {
		b.complain("offer moves the transport from %q to %q", b.tag, offer.BundleTag())
	}
	for i := range offer.Sections {
		got := &offer.Sections[i]
		if got.Live() && got.Setup != sdpx.ActPass {
			b.complain("section %q: setup %s in an offer", got.Mid, got.Setup)
		}
		if i == len(b.sections) || b.sections[i].ended && got.Live() {
			if b.find(got.Mid) != nil {
				b.complain("mid %q is used twice", got.Mid)
			}
			fresh := &slot{mid: got.Mid, kind: wire.Kind(got.Kind), direct: sdpx.Inactive}
			if i == len(b.sections) {
				b.sections = append(b.sections, fresh)
			} else {
				b.sections[i] = fresh
			}
		}
		s := b.sections[i]
		if s.mid != got.Mid || sdpx.Kind(s.kind) != got.Kind || got.Live() == s.stopped {
			b.complain("section %d was %s %q (stopped %v), is %s %q (port %d)", i, s.kind, s.mid, s.stopped, got.Kind, got.Mid, got.Port)
		}
		receiving := s.direct.Receives()
		s.direct = reply(got.Direction, s.sends)
		if s.direct.Receives() && !receiving {
			began = append(began, s.mid)
		}
	}
	b.tag = offer.BundleTag()
	if b.remote == "" {
		b.remote = offer.Section(b.tag).ICEUfrag
	}
	b.checkCandidates(offer)
	return b.text("active", offer.Section), began
}

func reply(offered sdpx.Direction, sends bool) sdpx.Direction {
	switch send, receive := sends && offered.Receives(), offered.Sends(); {
	case send && receive:
		return sdpx.SendRecv
	case send:
		return sdpx.SendOnly
	case receive:
		return sdpx.RecvOnly
	}
	return sdpx.Inactive
}
