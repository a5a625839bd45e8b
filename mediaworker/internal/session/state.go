package session

import (
	"slices"
	"time"

	"switchboard/shared/wire"
)

// state describes the session. Closed tracks are listed as inactive for a
// while, so that a tool sees what happened.
func (s *session) state() *wire.SessionState {
	connection := s.peer.State()
	state := &wire.SessionState{
		SessionRef: wire.SessionRef{App: s.app, Session: s.id},
		Rev:        s.rev.Load(), Worker: s.registry.deps.Worker,
		Connection: connection.Connection, Tracks: []wire.TrackState{}, Usage: s.usage.Total(),
	}
	if connection.Connection != wire.ConnectionConnected {
		state.Verdict = s.peer.Verdict()
	}
	now := time.Now()
	for _, mid := range s.order {
		sec := s.sections[mid]
		if p := sec.publication; p != nil && listed(p.closedAt, now) {
			state.Tracks = append(state.Tracks, wire.TrackState{
				Direction: wire.DirectionPush, Mid: mid, TrackName: p.name, Kind: sec.kind,
				Status: status(p.live()), Usage: p.media.Usage(), Layers: p.media.Layers(),
			})
		}
		if p := sec.pull; p != nil && listed(p.closedAt, now) {
			track := wire.TrackState{
				Direction: wire.DirectionPull, Mid: mid, TrackName: p.key.Track, Session: p.key.Session,
				Kind: sec.kind, Status: status(p.live() && !p.pending && !isClosed(p.media.Closed())),
				Usage: p.usage.Total(),
			}
			if p.sub != nil {
				track.Layers = p.sub.State().Layers
			}
			state.Tracks = append(state.Tracks, track)
		}
	}
	return state
}

func listed(closedAt, now time.Time) bool { return closedAt.IsZero() || now.Sub(closedAt) < closedFor }

func status(active bool) wire.TrackStatus {
	if active {
		return wire.StatusActive
	}
	return wire.StatusInactive
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// publicationsChanged brings the directory's list up to date and reports
// whether it changed.
func (s *session) publicationsChanged() bool {
	list := []wire.Publication{}
	for _, mid := range s.order {
		sec := s.sections[mid]
		if p := sec.publication; p.live() {
			list = append(list, wire.Publication{TrackName: p.name, Mid: mid, Kind: sec.kind, Generation: p.generation})
		}
	}
	if slices.Equal(list, *s.listed.Load()) {
		return false
	}
	s.listed.Store(&list)
	return true
}
