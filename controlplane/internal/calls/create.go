package calls

import (
	"context"

	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// CreateSession makes a session. Without an offer it is an entry in the
// directory and no worker knows of it: it is placed when it first negotiates,
// when it is known what it pulls. With an offer it negotiates at once,
// publishing nothing.
func (s *Service) CreateSession(ctx context.Context, c CreateSession) (CreatedSession, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	ref := wire.SessionRef{App: c.App, Session: ids.NewSessionID()}
	if err := s.directory.Create(ctx, ref, c.ThirdParty, ""); err != nil {
		return CreatedSession{}, s.refused(err)
	}
	s.log.Debug("session created", zap.String("app", string(c.App)), zap.String("session", string(ref.Session)),
		zap.String("correlationId", c.CorrelationID))
	if c.Offer == nil {
		return CreatedSession{Session: ref.Session}, nil
	}
	sess := session{SessionRef: ref, Session: directory.Session{ThirdParty: c.ThirdParty}}
	reply, err := s.negotiate(ctx, sess, nil, wire.OpCreate, createWith(sess, c.Offer))
	if err != nil {
		return CreatedSession{}, err
	}
	return CreatedSession{Session: ref.Session, Answer: reply.SessionDescription}, nil
}

// createWith makes the command that only negotiates a client's offer.
func createWith(sess session, offer *wire.SessionDescription) func(bool) wire.Message {
	return func(bool) wire.Message {
		return &wire.Create{SessionRef: sess.SessionRef, ThirdParty: sess.ThirdParty, SessionDescription: offer}
	}
}
