package session

import (
	"context"
	"strings"
	"sync"
	"time"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/peer"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// found is what a pull's item waited for.
type found struct {
	media *forward.Publication
	err   error
}

// await finds the publications of a pull, all at the same time. It runs beside
// the mailbox, so that other commands are not held up.
func (s *session) await(ctx context.Context, pulls []wire.Pull) []found {
	patience := pullWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline)-replyMargin)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	results := make([]found, len(pulls))
	var waits sync.WaitGroup
	for i := range pulls {
		results[i].err = fault.Internal.New("")
		waits.Go(func() {
			s.protect(func() {
				media, err := s.registry.deps.Switchboard.Await(ctx, s.app, pulls[i].TrackKey, pulls[i].Origin)
				results[i] = found{media, err}
			})
		})
	}
	waits.Wait()
	return results
}

// puller carries out one pull.
type puller struct {
	s       *session
	command *wire.TracksNew
	found   []found
	results []wire.TrackResult
}

func (s *session) newPuller(command *wire.TracksNew, all []found) *puller {
	p := &puller{s: s, command: command, found: all, results: make([]wire.TrackResult, len(all))}
	for i, item := range command.Pull {
		p.results[i] = wire.TrackResult{TrackName: item.Track, Session: item.Session, Bidirectional: item.Bidirectional}
		if all[i].err == nil && isClosed(all[i].media.Closed()) {
			all[i].err = fault.TrackNotFound.New("") // ended since
		}
		if all[i].err != nil {
			p.fail(i, all[i].err)
			continue
		}
		p.results[i].Kind = all[i].media.Config().Kind
	}
	return p
}

func (p *puller) fail(i int, err error) {
	p.results[i].Fault, p.results[i].Mid = fault.From(err), ""
}

// into pulls an item into a section that exists: "#name" is that of the
// session's own publication, else a literal mid. A second pull replaces what is
// sent there.
func (p *puller) into(i int) {
	item, sec := p.command.Pull[i], (*section)(nil)
	if name, ok := strings.CutPrefix(item.Mid, "#"); ok {
		sec = p.s.byName(ids.TrackName(name))
	} else {
		sec = p.s.sections[item.Mid]
	}
	switch {
	case sec == nil || sec.out == nil:
		p.fail(i, fault.InvalidParams.New("No section %.64q of this session sends: push the track with bidirectionalMediaStream first.", item.Mid))
		return
	case sec.kind != p.results[i].Kind:
		p.fail(i, fault.InvalidParams.New("The section is for %s, the track is %s.", sec.kind, p.results[i].Kind))
		return
	}
	codec, _ := p.found[i].media.Codec()
	if remote := p.s.remote(sec.mid); remote != nil && !peer.Carries(remote, codec) {
		p.fail(i, noCommonFormat(codec))
		return
	}
	p.results[i].Mid = sec.mid
	p.s.pullIn(sec, item, p.found[i].media)
}

func noCommonFormat(codec forward.Codec) error {
	return fault.TrackError.New("The client of this session has no format in common with the track (%s).", codec.MimeType)
}

// pullIn makes the publication what is sent in the section.
func (s *session) pullIn(sec *section, item wire.Pull, media *forward.Publication) {
	if former := sec.pull; former.live() {
		former.key, former.wish, former.media = item.TrackKey, item.Simulcast, media
		if former.sub != nil {
			former.sub.Replace(media)
			former.sub.SetWish(item.Simulcast)
		}
		return
	}
	sec.closed = false
	sec.pull = &pull{key: item.TrackKey, bidirectional: item.Bidirectional, wish: item.Simulcast, media: media, usage: s.usage.Child()}
	s.pulls.Add(1)
	s.attach()
}

// offerPull makes sections for the tracks that the client wants.
func (s *session) offerPull(command *wire.TracksNew, all []found) (*wire.Reply, error) {
	p := s.newPuller(command, all)
	var sections []peer.Section
	var places []int
	for i, item := range command.Pull {
		if p.results[i].Fault != nil {
			continue
		}
		if item.Mid != "" {
			p.into(i)
			continue
		}
		codec, _ := all[i].media.Codec()
		out := s.outgoing(p.results[i].Kind, codec)
		if !s.peer.CanSend(out) {
			p.fail(i, noCommonFormat(codec))
			continue
		}
		want := peer.Want{Send: out, Receive: item.Bidirectional}
		sections, places = append(sections, peer.Section{Kind: p.results[i].Kind, Want: want}), append(places, i)
	}
	if len(sections) == 0 {
		return &wire.Reply{Tracks: p.results}, nil
	}
	if s.peer.Offering() {
		return nil, fault.HaveLocalOffer.New("")
	}
	before := 0
	if s.needsPlaceholder(sections) {
		sections, before = append([]peer.Section{{Kind: wire.Audio, Mid: placeholder, Want: peer.Want{Receive: true}}}, sections...), 1
	}
	offer, mids, err := s.offerSections(sections)
	if err != nil {
		return nil, err
	}
	for k, mid := range mids {
		sec := s.section(mid, sections[k].Kind)
		if k < before {
			continue
		}
		i := places[k-before]
		sec.out, sec.closed, sec.publication = sections[k].Want.Send, false, nil
		sec.pull = &pull{
			key: command.Pull[i].TrackKey, bidirectional: command.Pull[i].Bidirectional, wish: command.Pull[i].Simulcast,
			media: all[i].media, usage: s.usage.Child(), pending: true,
		}
		s.pulls.Add(1)
		p.results[i].Mid = mid
	}
	return &wire.Reply{SessionDescription: offer, Tracks: p.results}, nil
}

// needsPlaceholder: the first offer of a session that only receives starts with
// a section that the client cannot end, see placeholder.
func (s *session) needsPlaceholder(sections []peer.Section) bool {
	if s.negotiated || s.thirdParty {
		return false
	}
	for _, sec := range sections {
		if sec.Want.Receive {
			return false
		}
	}
	return true
}

// answerPull fills receiving sections of the client's offer.
func (s *session) answerPull(command *wire.TracksNew, all []found) (*wire.Reply, error) {
	offer, err := s.readOffer(command.SessionDescription)
	if err != nil {
		return nil, err
	}
	p := s.newPuller(command, all)
	chosen := make(map[string]int)
	for i, item := range command.Pull {
		if p.results[i].Fault != nil {
			continue
		}
		codec, _ := all[i].media.Codec()
		target := s.receiving(offer, item, codec, chosen)
		if target == nil {
			p.fail(i, fault.InvalidParams.New("The offer has no free section that receives %s for this track.", codec.MimeType))
			continue
		}
		sec := s.section(target.Mid, wire.Kind(target.Kind))
		if sec.out == nil {
			sec.out = s.outgoing(sec.kind, codec)
		}
		chosen[target.Mid] = i
		p.results[i].Mid = target.Mid
	}
	answer, err := s.answer(offer)
	if err != nil {
		for mid := range chosen {
			if sec := s.sections[mid]; !sec.pull.live() && !sec.publication.live() {
				s.drop(mid)
			}
		}
		return nil, err
	}
	for mid, i := range chosen {
		s.pullIn(s.sections[mid], command.Pull[i], all[i].media)
	}
	return &wire.Reply{SessionDescription: answer, Tracks: p.results}, nil
}

// receiving picks the section of the client's offer for an item: the one it
// names, else the first that receives, takes the format and carries nothing.
func (s *session) receiving(offer *sdpx.Description, item wire.Pull, codec forward.Codec, chosen map[string]int) *sdpx.Section {
	for i := range offer.Sections {
		sec := &offer.Sections[i]
		_, taken := chosen[sec.Mid]
		known := s.sections[sec.Mid]
		carries := known != nil && known.pull.live()
		if item.Mid != "" && item.Mid != sec.Mid || taken || carries && item.Mid == "" {
			continue
		}
		if sec.Live() && sec.Direction.Receives() && peer.Carries(sec, codec) {
			return sec
		}
	}
	return nil
}
