package command

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// locate answers only for a session that is held here: every worker is asked.
func (s *Server) locate(r micro.Request) {
	var m wire.Locate
	if err := wire.Decode(r.Data(), &m); err != nil {
		s.respondFault(r.Reply(), fault.DecodingError.New("%v", err))
		return
	}
	if rev, ok := s.config.Registry.Locate(m.App, m.Session); ok {
		s.respond(r.Reply(), wire.Located{SessionRef: m.SessionRef, Worker: s.config.ID, Rev: rev})
	}
}

// notice hears what the control planes tell all workers; it has no reply.
func (s *Server) notice(r micro.Request) {
	var m wire.WorkersNotice
	if err := wire.Decode(r.Data(), &m); err != nil {
		s.config.Log.Warn("notice to all workers ignored", zap.Error(err))
		return
	}
	if m.Heartbeat {
		s.config.Worker.Beat()
	}
	if m.Announce {
		s.config.Worker.Announce()
	}
}

// drain answers with the worker's heartbeat, which says how many sessions are
// left. A request without a body waits for them for ever.
func (s *Server) drain(r micro.Request) {
	var m wire.Drain
	if body := r.Data(); len(body) > 0 {
		if err := wire.Decode(body, &m); err != nil {
			s.respondFault(r.Reply(), fault.DecodingError.New("%v", err))
			return
		}
	}
	s.config.Worker.Drain(time.Duration(m.DeadlineMS) * time.Millisecond)
	s.respond(r.Reply(), s.config.Worker.Snapshot().Heartbeat)
}

func (s *Server) snapshot(r micro.Request) { s.respond(r.Reply(), s.config.Worker.Snapshot()) }

// endpointData adds to micro's statistics of an endpoint what micro cannot
// know, for commands are served after the handler has returned.
func (s *Server) endpointData(e *micro.Endpoint) any {
	stats, ok := s.stats[e.Name]
	if !ok {
		return json.RawMessage("{}")
	}
	return stats.read()
}
