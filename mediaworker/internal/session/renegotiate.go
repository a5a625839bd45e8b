package session

import (
	"go.uber.org/zap"

	"switchboard/shared/fault"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// renegotiate takes the client's answer to our outstanding offer. An answer
// that is refused leaves the offer outstanding: the client may send another.
func (s *session) renegotiate(command *wire.Renegotiate) (*wire.Reply, error) {
	if command.SessionDescription.Type != wire.Answer {
		return nil, fault.InvalidSessionDescription.New("The session description is of type %q, but an answer belongs here.", command.SessionDescription.Type)
	}
	if s.offer == nil {
		return nil, fault.HaveNoOffer.New("")
	}
	answer, err := sdpx.Parse(command.SessionDescription.SDP)
	if err != nil {
		return nil, describe(err)
	}
	if err := sdpx.ValidateAnswer(answer, s.peer.Pending()); err != nil {
		return nil, describe(err)
	}
	made := s.offer
	if err := s.peer.Accept(answer); err != nil {
		s.log.Warn("peer refused an answer that the validator accepted", zap.Error(err))
		s.wedged = true
		s.withdraw()
		return nil, fault.InvalidSessionDescription.New("The answer cannot be negotiated.")
	}
	made.timer.Stop()
	s.offer, s.negotiated = nil, true
	for _, mid := range made.mids {
		sec := s.sections[mid]
		if sec == nil {
			continue // closed meanwhile
		}
		if sec.pull != nil {
			sec.pull.pending = false
		}
		if sec.publication.live() {
			s.peer.Publish(mid, sec.publication.media)
		}
	}
	s.sweep()
	s.attach()
	return &wire.Reply{}, nil
}
