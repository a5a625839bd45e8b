package session

import (
	"context"
	"time"

	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// begin carries out the command of a first attempt. The client may hang up;
// what was begun is done within the budget all the same.
func (s *session) begin(ctx context.Context, command Command, a *attempt) {
	budget, cancel := context.WithCancel(s.ctx)
	if deadline, ok := ctx.Deadline(); ok {
		budget, cancel = context.WithDeadline(s.ctx, deadline)
	}
	c, isNew := command.Message.(*wire.TracksNew)
	if !isNew || len(c.Pull) == 0 {
		s.run(budget, a, func() (wire.Message, error) {
			defer cancel()
			return s.execute(command)
		})
		return
	}
	started := s.crew.start(func() {
		var all []found
		s.protect(func() { all = s.await(budget, c.Pull) })
		// What was found in time is pulled, however late it is now.
		s.run(s.ctx, a, func() (wire.Message, error) {
			defer cancel()
			if c.SessionDescription != nil {
				return orNil(s.answerPull(c, all))
			}
			return orNil(s.offerPull(c, all))
		})
	})
	if !started {
		cancel()
		s.memory.finish(a, nil, fault.SessionGone.New(""), time.Now())
	}
}

// execute carries out every command but a pull.
func (s *session) execute(command Command) (wire.Message, error) {
	switch m := command.Message.(type) {
	case *wire.Create:
		return orNil(s.create(m))
	case *wire.TracksNew:
		if m.SessionDescription == nil {
			if m.AutoDiscover {
				return nil, fault.InvalidParams.New("autoDiscover needs a sessionDescription.")
			}
			return orNil(s.offerPush(m))
		}
		return orNil(s.push(m))
	case *wire.TracksClose:
		return orNil(s.closeTracks(m))
	case *wire.Renegotiate:
		return orNil(s.renegotiate(m))
	case *wire.Get:
		return s.state(), nil
	case *wire.Close:
		s.end("closed by the client")
		return &wire.Reply{}, nil
	}
	return nil, fault.Internal.New("")
}

// create answers the client's offer, if there is one; the session itself was
// made when the command came in.
func (s *session) create(command *wire.Create) (*wire.Reply, error) {
	if command.SessionDescription == nil {
		return &wire.Reply{}, nil
	}
	offer, err := s.readOffer(command.SessionDescription)
	if err != nil {
		return nil, err
	}
	answer, err := s.answer(offer)
	if err != nil {
		return nil, err
	}
	return &wire.Reply{SessionDescription: answer}, nil
}

// orNil keeps a nil reply from becoming a message that is not nil.
func orNil(reply *wire.Reply, err error) (wire.Message, error) {
	if reply == nil {
		return nil, err
	}
	return reply, err
}
