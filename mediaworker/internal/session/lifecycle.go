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
		s.log.Info("transport connected")
		s.stopDeadline()
	case state.Connection == wire.ConnectionDisconnected, state.Closed:
		if state.Connection == wire.ConnectionDisconnected { // a failure was explained before
			s.log.Info("transport lost", zap.Bool("closed", state.Closed), zap.String("verdict", s.peer.Verdict()))
		}
		s.unlessConnected(reconnectWithin, s.giveUp)
	}
}

// unlessConnected calls late if the transport does not come up in time. A
// deadline that runs already is not put off.
func (s *session) unlessConnected(within time.Duration, late func()) {
	if s.deadline != nil {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(within, func() {
		s.event(func() {
			if s.deadline != timer || s.peer.State().Connection == wire.ConnectionConnected {
				return
			}
			s.deadline = nil
			late()
		})
	})
	s.deadline = timer
}

// firstConnect waits for the session's first transport.
func (s *session) firstConnect() {
	s.unlessConnected(explainAfter, func() {
		s.log.Info("session is not connected yet", zap.String("verdict", s.peer.Verdict()))
		s.unlessConnected(connectWithin-explainAfter, s.giveUp)
	})
}

func (s *session) giveUp() { s.end(s.peer.Verdict()) }

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
	s.log.Info("session ended", zap.String("reason", reason))
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
