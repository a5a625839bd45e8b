package session

import (
	"time"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/peer"
	"switchboard/shared/wire"
)

// stateChanged hears of a peer's transport. That of a peer which was replaced
// says nothing about the session.
func (s *session) stateChanged(of transport, state peer.State) {
	if of != s.peer {
		return
	}
	connected := state.Connection == wire.ConnectionConnected
	s.board.SetConnected(connected)
	switch {
	case connected:
		s.stopDeadline()
	case state.Connection == wire.ConnectionDisconnected, state.Closed:
		s.log.Info("transport lost", zap.String("state", string(state.Connection)), zap.Bool("closed", state.Closed))
		s.endWithin(reconnectWithin)
	}
}

// endWithin ends the session unless its transport comes up in time. A deadline
// that runs already is not put off.
func (s *session) endWithin(d time.Duration) {
	if s.deadline != nil {
		return
	}
	s.deadline = time.AfterFunc(d, func() {
		s.event(func() {
			if s.peer.State().Connection == wire.ConnectionConnected {
				return
			}
			verdict := s.peer.Verdict()
			s.log.Info("session ends without a transport", zap.String("verdict", verdict))
			s.end(verdict)
		})
	})
}

func (s *session) stopDeadline() {
	if s.deadline != nil {
		s.deadline.Stop()
		s.deadline = nil
	}
}

// end ends the session: its tracks are unpublished, its peer closed.
func (s *session) end(reason string) {
	if s.ended {
		return
	}
	s.ended = true
	s.stopDeadline()
	if s.offer != nil {
		s.offer.timer.Stop()
	}
	for _, sec := range s.sections {
		s.closeSection(sec)
	}
	s.board.Leave()
	s.cancel()
	if s.peer != nil {
		s.discard(s.peer)
	}
	s.crew.close()
	s.mailbox.close()
	s.usage.End()
	s.registry.remove(s, reason)
}
