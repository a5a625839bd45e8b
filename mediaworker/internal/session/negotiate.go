package session

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/peer"
	"switchboard/shared/fault"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// readOffer checks that the client may offer now and that its offer can be
// negotiated. It changes nothing.
func (s *session) readOffer(d *wire.SessionDescription) (*sdpx.Description, error) {
	if d.Type != wire.Offer {
		return nil, fault.InvalidSessionDescription.New("The session description is of type %q, but an offer belongs here.", d.Type)
	}
	if s.peer.Offering() {
		return nil, fault.HaveLocalOffer.New("")
	}
	offer, err := sdpx.Parse(d.SDP)
	if err != nil {
		return nil, describe(err)
	}
	previous := s.peer.Remote()
	if s.mustReplace(offer) {
		previous = nil
	}
	if err := sdpx.ValidateOffer(offer, previous); err != nil {
		return nil, describe(err)
	}
	return offer, nil
}

// mustReplace reports whether only a fresh peer can answer the offer: the
// client has dropped its transport (its bundle starts with another section, or
// it restarts ICE), or ours is of no use any more.
func (s *session) mustReplace(offer *sdpx.Description) bool {
	if s.wedged || s.peer.State().Closed {
		return true
	}
	if !s.peer.Negotiated() || len(offer.Mids()) == 0 {
		return false
	}
	tag := tagOf(offer)
	return tag.Mid != s.peer.BundleTag() || tag.ICEUfrag != tagOf(s.peer.Remote()).ICEUfrag
}

// tagOf is the section that owns the transport: the bundle's tag, else the
// first that is live. A description without any gives an empty section.
func tagOf(d *sdpx.Description) sdpx.Section {
	mid := d.BundleTag()
	if live := d.Mids(); mid == "" && len(live) > 0 {
		mid = live[0]
	}
	if sec := d.Section(mid); sec != nil {
		return *sec
	}
	return sdpx.Section{}
}

// full is what a client hears whose session has no room for more sections.
var full = fault.InvalidParams.New("This session has no room for more media sections: close tracks, or use another session.")

// answer negotiates the client's offer, on a fresh peer if need be, and returns
// our answer. On failure media flows on as before.
func (s *session) answer(offer *sdpx.Description) (*wire.SessionDescription, error) {
	text, answered := "", false
	if !s.mustReplace(offer) {
		var err error
		if text, err = s.peer.Answer(offer, s.wants()); errors.Is(err, peer.ErrFull) {
			return nil, full
		} else if err != nil {
			s.log.Warn("peer refused an offer that the validator accepted", zap.Error(err))
			s.wedged = true
		}
		answered = err == nil
	}
	if !answered {
		var err error
		if text, err = s.replaceWith(offer); err != nil {
			return nil, err
		}
	}
	s.negotiated = true
	s.sweep()
	s.attach()
	return &wire.SessionDescription{Type: wire.Answer, SDP: text}, nil
}

// replaceWith answers the offer from a fresh peer and takes it in place of the
// old one. Publications change their source when its packets come.
func (s *session) replaceWith(offer *sdpx.Description) (string, error) {
	fresh, err := s.newPeer()
	if err != nil {
		return "", err
	}
	fresh.Recall(s.peer.Streams())
	for mid, sec := range s.sections {
		if sec.publication.live() {
			fresh.Publish(mid, sec.publication.media)
		}
	}
	text, err := fresh.Answer(offer, s.wants())
	if err != nil {
		s.discard(fresh)
		if errors.Is(err, peer.ErrWedged) {
			s.log.Warn("a fresh peer refused an offer that the validator accepted", zap.Error(err))
			return "", fault.InvalidSessionDescription.New("The offer cannot be negotiated.")
		}
		return "", err
	}
	s.install(fresh)
	return text, nil
}

// install makes fresh the session's peer.
func (s *session) install(fresh transport) {
	old := s.peer
	s.peer, s.wedged = fresh, false
	for _, sec := range s.sections {
		if sec.pull != nil {
			sec.pull.detach()
		}
	}
	s.board.SetConnected(false)
	s.unlessConnected(reconnectWithin, s.giveUp)
	s.discard(old)
}

// discard closes a peer beside the mailbox, as pion's close waits.
func (s *session) discard(t transport) { _ = s.crew.start(func() { s.protect(t.Close) }) }

// offerSections makes an offer that adds sections and starts to wait for its
// answer.
func (s *session) offerSections(sections []peer.Section) (*wire.SessionDescription, []string, error) {
	if s.wedged || s.peer.State().Closed {
		return nil, nil, fault.SessionNotReady.New("The session has lost its transport. Send an offer of your own, or create a new session.")
	}
	text, mids, err := s.peer.Offer(sections, s.wants(), s.nextMid)
	if errors.Is(err, peer.ErrFull) {
		return nil, nil, full
	}
	if err != nil {
		s.log.Error("peer could not make an offer", zap.Error(err))
		s.wedged = true
		s.abandon(!s.peer.Negotiated(), nil)
		return nil, nil, fmt.Errorf("offer: %w", err)
	}
	s.offer = &outstanding{mids: mids, first: !s.peer.Negotiated()}
	made := s.offer
	s.offer.timer = time.AfterFunc(answerWithin, func() {
		s.event(func() {
			if s.offer == made {
				s.log.Info("the client did not answer an offer in time")
				s.withdraw()
			}
		})
	})
	return &wire.SessionDescription{Type: wire.Offer, SDP: text}, mids, nil
}

// withdraw gives up our outstanding offer and what it would have added.
func (s *session) withdraw() {
	made := s.offer
	made.timer.Stop()
	s.offer = nil
	s.abandon(made.first, made.mids)
}

func (s *session) abandon(first bool, mids []string) {
	for _, mid := range mids {
		if sec := s.sections[mid]; sec != nil {
			s.closeSection(sec)
			s.drop(mid)
		}
	}
	if !first {
		s.peer.Withdraw()
		return
	}
	fresh, err := s.newPeer()
	if err != nil {
		s.end("no peer: " + err.Error())
		return
	}
	s.named = 0
	old := s.peer
	s.peer, s.wedged = fresh, false
	s.discard(old)
}

// sweep closes the tracks of sections that the client has ended or refused, and
// drops what is left of tracks that were closed a while ago.
func (s *session) sweep() {
	now := time.Now()
	var past []string
	for _, mid := range slices.Clone(s.order) {
		if remote := s.remote(mid); remote != nil && remote.Live() {
			continue
		}
		sec := s.sections[mid]
		s.closeSection(sec)
		kept := sec.publication != nil && listed(sec.publication.closedAt, now) || sec.pull != nil && listed(sec.pull.closedAt, now)
		if !kept {
			s.drop(mid)
			continue
		}
		past = append(past, mid)
	}
	for _, mid := range past[:max(0, len(past)-maxPast)] {
		s.drop(mid)
	}
}

// maxPast bounds the sections that are kept to be listed only.
const maxPast = 128

// attach subscribes what can be sent: pulls whose section is negotiated.
func (s *session) attach() {
	for _, mid := range s.order {
		sec := s.sections[mid]
		if !sec.pull.live() || sec.pull.pending {
			continue
		}
		ssrc, ok := s.peer.Sending(mid)
		if ok && sec.pull.sub != nil && ssrc == sec.pull.ssrc {
			continue
		}
		sec.pull.detach()
		if !ok {
			continue // the client does not receive in it now
		}
		sub, err := s.peer.Subscribe(mid, sec.pull.media, sec.pull.wish, sec.pull.usage)
		if err != nil {
			s.log.Info("cannot send a pulled track", zap.String("mid", mid), zap.String("track", sec.pull.key.String()), zap.Error(err))
			continue
		}
		sec.pull.sub, sec.pull.ssrc = sub, ssrc
	}
}

func (p *pull) detach() {
	if p.sub != nil {
		p.sub.Close()
	}
	p.sub, p.ssrc = nil, 0
}
