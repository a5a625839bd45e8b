package peer

import (
	"errors"
	"fmt"

	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// Section is a section that the SFU wants to add.
type Section struct {
	Kind wire.Kind
	// Mid, if given, makes a new section of that name; else a free section of
	// the kind may be used again.
	Mid  string
	Want Want
}

// pending is an offer of ours that the client has not answered.
type pending struct {
	local webrtc.SessionDescription // pion's own bytes
	wire  *sdpx.Description
	order []*line
	// former is what the lines that this offer puts to use were before.
	former map[*line]line
}

// Offering reports whether an offer of ours waits for its answer.
func (p *Peer) Offering() bool { return p.pending != nil }

// CanSend reports whether a new section could carry a stream of the codec.
func (p *Peer) CanSend(out *Outgoing) bool {
	return len(offered(sdpx.Kind(out.Kind), out.Codec)) > 0
}

// Offer makes an offer that adds the sections, for each of which CanSend holds,
// and returns it as it goes to the client, with the sections' mids. wants says
// what the session wants of the mids in use; the new ones are added to it. name
// makes a fresh mid. Nothing is applied: Accept or Withdraw must follow. An
// error is ErrFull, or wraps ErrWedged: the peer must then be replaced.
func (p *Peer) Offer(sections []Section, wants map[string]Want, name func() string) (text string, mids []string, err error) {
	if p.pending != nil {
		return "", nil, errors.New("peer: an offer of ours is outstanding")
	}
	p.pending = &pending{former: make(map[*line]line)}
	for _, s := range sections {
		l, err := p.add(s, wants, name)
		if err != nil {
			return "", nil, p.giveUp(err)
		}
		wants[l.mid] = s.Want
		mids = append(mids, l.mid)
	}
	if text, err = p.createOffer(wants, name); err != nil {
		return "", nil, p.giveUp(err)
	}
	return text, mids, nil
}

// giveUp says what becomes of the peer when its offer could not be made.
func (p *Peer) giveUp(err error) error {
	var refusal *sdpx.Error
	if errors.Is(err, ErrFull) || errors.As(err, &refusal) && refusal.Reason == sdpx.TooLarge {
		p.Withdraw()
		return ErrFull
	}
	return fmt.Errorf("%w: %w", ErrWedged, err)
}

// add puts a line to use for the section.
func (p *Peer) add(s Section, wants map[string]Want, name func() string) (*line, error) {
	l := p.free(s, wants)
	fresh := l == nil
	if fresh {
		if len(p.lines) >= maxOffered {
			return nil, ErrFull
		}
		l = p.newLine("", sdpx.Kind(s.Kind), true)
		if err := p.openLine(l, s.Want); err != nil {
			return nil, err
		}
	}
	p.take(l)
	if l.ended || l.mid == "" {
		l.ended, l.ours, l.mid = false, true, s.Mid
		if l.mid == "" {
			l.mid = name()
		}
	}
	if !fresh {
		if err := p.align(l, s.Want.Send); err != nil {
			return nil, err
		}
	}
	var want forward.Codec
	if s.Want.Send != nil {
		want = s.Want.Send.Codec
	}
	l.content = p.numbers.offerContent(l.kind, offered(l.kind, want), s.Want.Receive)
	return l, nil
}

// take remembers what the line was, for Withdraw.
func (p *Peer) take(l *line) {
	former := *l
	former.sender, former.rtp = nil, nil
	p.pending.former[l] = former
}

// openLine makes pion's end of a new line.
func (p *Peer) openLine(l *line, want Want) error {
	var t *webrtc.RTPTransceiver
	var err error
	if want.Send != nil && !want.Receive {
		s := &sender{kind: want.Send.Kind, stream: want.Send.Stream, track: want.Send.Track}
		t, err = p.pc.AddTransceiverFromTrack(s, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err == nil {
			l.sender, l.rtp = s, t.Sender()
		}
	} else {
		t, err = p.pc.AddTransceiverFromKind(pionKind(wire.Kind(l.kind)), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	}
	if err != nil {
		return fmt.Errorf("add transceiver: %w", err)
	}
	if err := t.SetMid(l.name); err != nil {
		return fmt.Errorf("name transceiver: %w", err)
	}
	return p.align(l, want.Send)
}

// free finds a line to use again: one that pion has but no description, or one
// that ended, or one of ours that the client has seen inactive. The line of the
// bundle's tag and those before it are left alone: the first mid of the group
// owns the client's transport.
func (p *Peer) free(s Section, wants map[string]Want) *line {
	if s.Mid != "" {
		return nil
	}
	placed := make(map[*line]bool, len(p.order))
	passedTag := len(p.bundle) == 0
	var found *line
	for _, l := range p.order {
		placed[l] = true
		want := wants[l.mid]
		inUse := want.Receive || want.Send != nil
		seenInactive := l.ours && l.shown == sdpx.Inactive && l.remote != nil && l.remote.Direction == sdpx.Inactive
		if found == nil && passedTag && l.kind == sdpx.Kind(s.Kind) && !p.taken(l) && (l.ended || !inUse && seenInactive) {
			found = l
		}
		passedTag = passedTag || l.mid == p.bundle[0]
	}
	for _, l := range p.lines {
		if found == nil && !placed[l] && l.kind == sdpx.Kind(s.Kind) && !p.taken(l) {
			found = l
		}
	}
	return found
}

func (p *Peer) taken(l *line) bool {
	_, taken := p.pending.former[l]
	return taken
}

// createOffer lets pion make the offer and turns it into what the client gets.
func (p *Peer) createOffer(wants map[string]Want, name func() string) (string, error) {
	local, err := p.pc.CreateOffer(nil)
	if err != nil {
		return "", fmt.Errorf("create offer: %w", err)
	}
	var edits []edit
	for _, n := range sectionMids(local.SDP) {
		l := p.lines[n]
		if l == nil {
			return "", fmt.Errorf("pion offers an unknown section %q", n)
		}
		if l.mid == "" { // left over from a withdrawn offer: shown inactive, in one format, then free
			p.take(l)
			l.mid, l.ours = name(), true
			l.content = p.numbers.offerContent(l.kind, offered(l.kind, forward.Codec{})[:1], false)
		}
		l.shown = l.direction(wants[l.mid])
		e := edit{mid: l.mid, direction: l.shown}
		if l.kind != sdpx.Application {
			e.content = &l.content
		}
		edits = append(edits, e)
		p.pending.order = append(p.pending.order, l)
	}
	var tag []string
	if len(p.bundle) > 0 {
		tag = p.bundle[:1]
	}
	<-p.gathered
	text, err := sdpx.WireOffer(rewrite(local.SDP, edits), sdpx.WireFacts{
		ICELite: !p.options.ThirdParty, Candidates: p.factory.config.Candidates,
		Ended: endedOf(p.pending.order), Bundle: tag,
	})
	if err != nil {
		return "", fmt.Errorf("edit offer: %w", err)
	}
	p.pending.local = local
	if p.pending.wire, err = sdpx.Parse(text); err != nil {
		return "", fmt.Errorf("read back offer: %w", err)
	}
	if !p.Negotiated() {
		p.factory.config.Mux.Hold(p.ufrag)
	}
	return text, nil
}

// Pending is our offer that waits for its answer, as the client has it; nil
// without one.
func (p *Peer) Pending() *sdpx.Description {
	if p.pending == nil {
		return nil
	}
	return p.pending.wire
}

// Accept applies our offer together with the client's answer, which must be
// valid for it (sdpx.ValidateAnswer). An error wraps ErrWedged.
func (p *Peer) Accept(answer *sdpx.Description) error {
	if p.pending == nil {
		return errors.New("peer: no offer of ours is outstanding")
	}
	if err := p.pc.SetLocalDescription(p.pending.local); err != nil {
		return fmt.Errorf("%w: set local description: %w", ErrWedged, err)
	}
	p.order, p.pending = p.pending.order, nil
	p.prompts.learn(answer)
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: p.toPion(answer)}); err != nil {
		return fmt.Errorf("%w: set remote description: %w", ErrWedged, err)
	}
	for _, l := range p.order {
		if s := answer.Section(l.mid); s == nil || !s.Live() {
			l.ended = true
		}
	}
	if tag := tagSection(answer); p.setup == "" && tag != nil {
		p.setup = sdpx.Passive
		if tag.Setup == sdpx.Passive {
			p.setup = sdpx.Active
		}
	}
	p.accepted(answer)
	return nil
}

// Withdraw forgets our offer. Its lines are free again.
func (p *Peer) Withdraw() {
	if p.pending == nil {
		return
	}
	for l, former := range p.pending.former {
		p.silence(l)
		*l = former
	}
	p.pending = nil
}
