package command

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"switchboard/shared/fault"
	"switchboard/shared/obs"
	"switchboard/shared/wire"
)

var internal = fault.Internal.New("")

// command starts serving one session command, or refuses it, without waiting.
func (s *Server) command(op wire.Operation, stats *endpointStats, r micro.Request) {
	received := time.Now()
	s.mu.Lock()
	closing := s.closing
	if !closing {
		s.inFlight.Add(1)
	}
	s.mu.Unlock()
	if closing {
		s.respondFault(r.Reply(), fault.WorkerLost.New("The media worker is stopping. Retry; if the session is then gone, create a new one."))
		return
	}
	select {
	case s.slots <- struct{}{}:
	default:
		s.inFlight.Done()
		stats.busy.Add(1)
		s.respondFault(r.Reply(), fault.WorkerBusy.New("The media worker has too many calls in flight. Retry after the time in Retry-After."))
		return
	}
	go func() {
		defer func() { <-s.slots; s.inFlight.Done() }()
		f := s.serve(op, received, nats.Header(r.Headers()), r.Data(), r.Reply())
		stats.count(time.Since(received), f)
	}()
}

// serve executes one session command and replies. It returns the fault
// replied, or nil.
func (s *Server) serve(op wire.Operation, received time.Time, header nats.Header, body []byte, reply string) (f *fault.Fault) {
	defer func() {
		if p := recover(); p != nil {
			s.logPanic(string(op), p)
			f = internal
			s.respondFault(reply, f)
		}
	}()
	cmd, err := decode(op, header, body)
	if err != nil {
		f = fault.DecodingError.New("%v", err)
		s.respondFault(reply, f)
		return f
	}
	log := s.config.Log.With(zap.String("operation", string(op)), zap.String("app", string(cmd.ref.App)),
		zap.String("session", string(cmd.ref.Session)), zap.String("command", string(cmd.ID)))
	if cmd.trace.Valid() {
		log = log.With(zap.String("trace", cmd.trace.ID()))
	}

	ctx, cancel := context.WithDeadline(obs.WithTrace(s.ctx, cmd.trace), received.Add(cmd.budget))
	defer cancel()
	result, err := s.config.Registry.Do(ctx, cmd.Command)
	took := zap.Duration("took", time.Since(received))
	if err == nil {
		log.Debug("command done", took)
		if !s.respond(reply, result) {
			return internal
		}
		return nil
	}
	f = s.faultOf(err)
	if fault.Internal.Is(f) {
		log.Error("command failed", took, zap.Error(err))
	} else {
		log.Debug("command refused", took, zap.String("code", f.Code), zap.String("description", f.Description))
	}
	s.respondFault(reply, f)
	return f
}

// faultOf returns what the sender is told of err.
func (s *Server) faultOf(err error) *fault.Fault {
	var f *fault.Fault
	switch {
	case s.ctx.Err() != nil && (errors.Is(err, context.Canceled) || fault.Timeout.Is(err)):
		return fault.WorkerLost.New("")
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return fault.Timeout.New("")
	}
	return internal
}

// respond replies with a message of package wire, or with a fault when that is
// impossible, and says which. Nothing is sent to a sender that gave no reply
// subject.
func (s *Server) respond(reply string, message any) bool {
	data, err := wire.Encode(message)
	if err == nil {
		err = s.publish(&nats.Msg{
			Subject: reply, Data: data,
			Header: nats.Header{wire.HeaderContentType: {wire.ContentTypeJSON}},
		})
	}
	if err == nil {
		return true
	}
	s.config.Log.Error("reply not sent", zap.Int("bytes", len(data)), zap.Error(err))
	if errors.Is(err, nats.ErrMaxPayload) || data == nil {
		s.respondFault(reply, internal)
	}
	return false
}

func (s *Server) respondFault(reply string, f *fault.Fault) {
	data, err := wire.Encode(f)
	if err == nil {
		err = s.publish(&nats.Msg{Subject: reply, Data: data, Header: nats.Header{
			wire.HeaderContentType: {wire.ContentTypeJSON},
			micro.ErrorCodeHeader:  {f.Code},
			micro.ErrorHeader:      {oneLine(f.Description)},
		}})
	}
	if err != nil {
		s.config.Log.Warn("fault not sent", zap.String("code", f.Code), zap.Error(err))
	}
}

// publish bypasses micro's Respond, which writes to state that micro reads
// when a handler returns, and a command is served after that.
func (s *Server) publish(m *nats.Msg) error {
	if m.Subject == "" {
		return nil
	}
	return s.config.Conn.PublishMsg(m)
}

func (s *Server) logPanic(where string, p any) {
	s.config.Log.Error("panic while serving a command", zap.String("operation", where), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
}
