package peer

import (
	"errors"
	"fmt"

	"github.com/pion/webrtc/v4"

	"switchboard/shared/sdpx"
)

// Answer applies the client's offer, which must be valid (sdpx.ValidateOffer)
// after the description in force, and returns our answer as it goes to the
// client. wants says what the session wants of each mid; a mid it does not name
// is received. An error is ErrFull, or wraps ErrWedged: the peer must then be
// replaced.
func (p *Peer) Answer(offer *sdpx.Description, wants map[string]Want) (string, error) {
	if p.pending != nil {
		return "", errors.New("peer: an offer of ours is outstanding")
	}
	if !p.fits(offer) {
		return "", ErrFull
	}
	p.place(offer)
	local, err := p.exchange(offer, wants)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrWedged, err)
	}
	<-p.gathered
	p.accepted(offer)
	p.setup = answeringRole(p.setup, offer)
	return p.wireAnswer(local, offer, wants)
}

// fits reports whether there is room for the new lines that place makes.
func (p *Peer) fits(offer *sdpx.Description) bool {
	lines := len(p.lines)
	for i := range offer.Sections {
		s := &offer.Sections[i]
		if i >= len(p.order) || p.order[i].mid != s.Mid && p.order[i].kind != s.Kind {
			lines++
		}
	}
	return lines <= maxLines
}

// place gives every section of the client's offer its line. A section at the
// place of an ended one takes over its line under the new mid.
func (p *Peer) place(offer *sdpx.Description) {
	for i := range offer.Sections {
		s := &offer.Sections[i]
		switch {
		case i >= len(p.order):
			p.order = append(p.order, p.newLine(s.Mid, s.Kind, false))
		case p.order[i].mid == s.Mid:
		case p.order[i].kind == s.Kind:
			p.order[i].mid, p.order[i].ours = s.Mid, false
		default: // pion cannot change a line's kind: the old one is left over
			p.leave(p.order[i])
			p.order[i] = p.newLine(s.Mid, s.Kind, false)
		}
		p.order[i].ended = !s.Live()
		p.order[i].remote = s
	}
}

// leave makes a line one that stands in no description. pion keeps it, so it
// comes up in our next offer, to be used again.
func (p *Peer) leave(l *line) {
	p.silence(l)
	*l = line{name: l.name, kind: l.kind}
}

// exchange lets pion apply the offer and make and apply the answer.
func (p *Peer) exchange(offer *sdpx.Description, wants map[string]Want) (string, error) {
	p.prompts.learn(offer)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: p.toPion(offer)}); err != nil {
		return "", fmt.Errorf("set remote description: %w", err)
	}
	for _, l := range p.order {
		out := wants[l.mid].Send
		if !l.remote.Live() || !l.remote.Direction.Receives() {
			out = nil
		}
		if err := p.align(l, out); err != nil {
			return "", err
		}
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", fmt.Errorf("create answer: %w", err)
	}
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", fmt.Errorf("set local description: %w", err)
	}
	return answer.SDP, nil
}

// wireAnswer turns pion's answer into what the client gets.
func (p *Peer) wireAnswer(local string, offer *sdpx.Description, wants map[string]Want) (string, error) {
	edits := make([]edit, len(p.order))
	for i, l := range p.order {
		want, named := wants[l.mid]
		if !named {
			want.Receive = true
		}
		edits[i].mid = l.mid
		if l.kind != sdpx.Application {
			l.content = answerContent(l.remote)
			l.ended = l.ended || len(l.content.formats) == 0
			edits[i].content = &l.content
		}
		l.shown = restrict(l.direction(want), l.remote.Direction)
		edits[i].direction = l.shown
	}
	return sdpx.WireAnswer(rewrite(local, edits), sdpx.WireFacts{
		Setup: p.setup, ICELite: !p.options.ThirdParty, Candidates: p.factory.config.Candidates,
		Ended: endedOf(p.order), Bundle: offer.Bundle,
	})
}

func endedOf(lines []*line) []string {
	var mids []string
	for _, l := range lines {
		if l.ended {
			mids = append(mids, l.mid)
		}
	}
	return mids
}

// accepted takes note of a description of the client that is in force now.
func (p *Peer) accepted(description *sdpx.Description) {
	p.remote, p.bundle = description, description.Bundle
	for _, l := range p.order {
		if s := description.Section(l.mid); s != nil {
			l.remote = s
		}
	}
	p.numbers.learn(description)
	p.demux.describe(description)
	p.leg.SetTransportCC(transportCC(description))
}

// answeringRole is our DTLS role when the client offers: the one in force, else
// the inverse of an explicit role, else passive (RFC 8842 section 5.3).
func answeringRole(inForce sdpx.Setup, offer *sdpx.Description) sdpx.Setup {
	if inForce != "" {
		return inForce
	}
	if tag := tagSection(offer); tag != nil && tag.Setup == sdpx.Passive {
		return sdpx.Active
	}
	return sdpx.Passive
}

// tagSection is the section whose transport attributes count: the bundle's tag,
// else the first live section.
func tagSection(d *sdpx.Description) *sdpx.Section {
	if s := d.Section(d.BundleTag()); s != nil {
		return s
	}
	for i := range d.Sections {
		if d.Sections[i].Live() {
			return &d.Sections[i]
		}
	}
	return nil
}
