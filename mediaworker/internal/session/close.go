package session

import (
	"time"

	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// closeTracks ends the tracks of the given mids, whatever the client's offer
// says about their sections: a client may stop one of many. Without force it
// answers the offer.
func (s *session) closeTracks(command *wire.TracksClose) (*wire.Reply, error) {
	reply := &wire.Reply{}
	if command.Force {
		reply.Tracks = s.closeMids(command.Mids)
		return reply, nil
	}
	offer, err := s.readOffer(command.SessionDescription)
	if err != nil {
		return nil, err
	}
	reply.Tracks = s.closeMids(command.Mids)
	if reply.SessionDescription, err = s.answer(offer); err != nil {
		return nil, err
	}
	return reply, nil
}

func (s *session) closeMids(mids []string) []wire.TrackResult {
	results := make([]wire.TrackResult, len(mids))
	for i, mid := range mids {
		results[i].Mid = mid
		sec := s.sections[mid]
		if sec == nil || !sec.publication.live() && !sec.pull.live() {
			results[i].Fault = fault.CloseTrackError.New("")
			continue
		}
		s.closeSection(sec)
	}
	return results
}

// closeSection stops both directions of the section.
func (s *session) closeSection(sec *section) {
	sec.closed = true
	s.unpublish(sec)
	s.unpull(sec)
	sec.out = nil
}

func (s *session) unpublish(sec *section) {
	if !sec.publication.live() {
		return
	}
	s.peer.Unpublish(sec.mid)
	s.board.Withdraw(sec.publication.name, sec.publication.media)
	sec.publication.media.Close()
	sec.publication.closedAt = time.Now()
}

func (s *session) unpull(sec *section) {
	if !sec.pull.live() {
		return
	}
	sec.pull.detach()
	sec.pull.usage.End()
	sec.pull.closedAt = time.Now()
	s.pulls.Add(-1)
}
