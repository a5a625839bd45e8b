package session

import (
	"crypto/rand"
	"fmt"

	"github.com/google/uuid"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/peer"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// push publishes sections of the client's offer.
func (s *session) push(command *wire.TracksNew) (*wire.Reply, error) {
	offer, err := s.readOffer(command.SessionDescription)
	if err != nil {
		return nil, err
	}
	pushes := command.Push
	if command.AutoDiscover {
		pushes = append(pushes, s.discover(offer, pushes)...)
	}
	for _, p := range pushes {
		if s.refuse(p, offer) == nil {
			s.expect(p, wire.Kind(offer.Section(p.Mid).Kind))
		}
	}
	answer, err := s.answer(offer)
	if err != nil {
		return nil, err
	}
	reply := &wire.Reply{SessionDescription: answer}
	for _, p := range pushes {
		reply.Tracks = append(reply.Tracks, s.publishIn(p, offer))
	}
	return reply, nil
}

// expect prepares the section of a push for the answer, which must take what the
// client sends, even where an earlier track was closed, and must hold the sender
// of a track that is to be sent back later.
func (s *session) expect(p wire.Push, kind wire.Kind) {
	if sec := s.sections[p.Mid]; sec != nil {
		sec.closed = false
	}
	if !p.Bidirectional {
		return
	}
	if sec := s.section(p.Mid, kind); sec.out == nil {
		sec.out = s.outgoing(kind, forward.Codec{})
	}
}

// discover names the sending sections that carry no track yet.
func (s *session) discover(offer *sdpx.Description, given []wire.Push) []wire.Push {
	taken := make(map[string]bool)
	for _, p := range given {
		taken[p.Mid] = true
	}
	var found []wire.Push
	for i := range offer.Sections {
		sec := &offer.Sections[i]
		known := s.sections[sec.Mid]
		if taken[sec.Mid] || !sends(sec) || sec.Kind == sdpx.Application || known != nil && known.publication.live() {
			continue
		}
		found = append(found, wire.Push{Mid: sec.Mid, TrackName: ids.TrackName(uuid.NewString())})
	}
	return found
}

// refuse says why the track cannot be published in the client's offer.
func (s *session) refuse(p wire.Push, offer *sdpx.Description) *fault.Fault {
	sec := offer.Section(p.Mid)
	switch {
	case sec == nil:
		return fault.InvalidParams.New("The offer has no section with mid %.64q.", p.Mid)
	case sec.Kind == sdpx.Application:
		return fault.InvalidParams.New("The section with mid %.64q carries data channels, not media.", p.Mid)
	case !sends(sec):
		return fault.InvalidParams.New("The section with mid %.64q does not send: its direction must be sendonly or sendrecv.", p.Mid)
	}
	if other := s.byName(p.TrackName); other != nil && other.mid != p.Mid && sends(offer.Section(other.mid)) {
		return fault.RepeatedLocalTrack.New("")
	}
	return nil
}

// sends reports whether the client sends in the section of its description,
// which may be nil.
func sends(sec *sdpx.Section) bool { return sec != nil && sec.Live() && sec.Direction.Sends() }

// byName is the section of a live publication.
func (s *session) byName(name ids.TrackName) *section {
	for _, sec := range s.sections {
		if sec.publication.live() && sec.publication.name == name {
			return sec
		}
	}
	return nil
}

// publishIn publishes one section of an offer that has been answered.
func (s *session) publishIn(p wire.Push, offer *sdpx.Description) wire.TrackResult {
	if f := s.refuse(p, offer); f != nil {
		return wire.TrackResult{TrackName: p.TrackName, Fault: f}
	}
	if former := s.byName(p.TrackName); former != nil && former.mid != p.Mid {
		s.unpublish(former) // the client has stopped sending it there
	}
	kind := wire.Kind(offer.Section(p.Mid).Kind)
	sec := s.section(p.Mid, kind)
	// The same track on the same mid again is the same publication.
	if !sec.publication.live() || sec.publication.name != p.TrackName {
		s.publish(sec, p)
	}
	s.peer.Publish(p.Mid, sec.publication.media)
	return wire.TrackResult{Mid: p.Mid, TrackName: p.TrackName, Kind: kind, Bidirectional: p.Bidirectional}
}

// publish makes a publication of the section, in place of a former one.
func (s *session) publish(sec *section, p wire.Push) {
	s.unpublish(sec)
	generation := s.generations.next(p.TrackName)
	sec.closed = false
	sec.publication = &publication{
		name: p.TrackName, generation: generation, bidirectional: p.Bidirectional,
		media: forward.NewPublication(forward.PublicationConfig{
			App: s.app, Key: ids.TrackKey{Session: s.id, Track: p.TrackName},
			Generation: generation, Kind: sec.kind, Usage: s.usage,
			Panicked: s.panicked,
		}),
	}
	s.board.Publish(p.TrackName, sec.publication.media)
}

// offerPush makes sections for tracks that the client is to send.
func (s *session) offerPush(command *wire.TracksNew) (*wire.Reply, error) {
	if s.peer.Offering() {
		return nil, fault.HaveLocalOffer.New("")
	}
	results := make([]wire.TrackResult, len(command.Push))
	var sections []peer.Section
	var places []int
	names := make(map[ids.TrackName]bool)
	for i, p := range command.Push {
		results[i] = wire.TrackResult{TrackName: p.TrackName, Kind: p.Kind, Bidirectional: p.Bidirectional}
		switch {
		case p.Kind != wire.Audio && p.Kind != wire.Video:
			results[i].Fault = fault.InvalidParams.New("Without an offer, kind must be audio or video.")
		case s.byName(p.TrackName) != nil || names[p.TrackName]:
			results[i].Fault = fault.RepeatedLocalTrack.New("")
		default:
			want := peer.Want{Receive: true}
			if p.Bidirectional {
				want.Send = s.outgoing(p.Kind, forward.Codec{})
			}
			names[p.TrackName] = true
			sections, places = append(sections, peer.Section{Kind: p.Kind, Want: want}), append(places, i)
		}
	}
	if len(sections) == 0 {
		return &wire.Reply{Tracks: results}, nil
	}
	offer, mids, err := s.offerSections(sections)
	if err != nil {
		return nil, err
	}
	for i, place := range places {
		sec := s.section(mids[i], sections[i].Kind)
		sec.out = sections[i].Want.Send
		s.publish(sec, command.Push[place])
		results[place].Mid = mids[i]
	}
	return &wire.Reply{SessionDescription: offer, Tracks: results}, nil
}

// outgoing is a track of ours with an msid of its own: tracks of different
// publications share no stream.
func (s *session) outgoing(kind wire.Kind, codec forward.Codec) *peer.Outgoing {
	id := rand.Text()
	return &peer.Outgoing{Kind: kind, Stream: fmt.Sprintf("s-%s", id), Track: fmt.Sprintf("t-%s", id), Codec: codec}
}
