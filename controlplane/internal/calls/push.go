package calls

import (
	"context"

	"switchboard/shared/wire"
)

// Push publishes tracks of a session.
func (s *Service) Push(ctx context.Context, p Push) (TracksResult, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	sess, err := s.begin(ctx, p.SessionRef)
	if err != nil {
		return TracksResult{}, err
	}
	reply, err := s.negotiate(ctx, sess, nil, wire.OpTracksNew, func(create bool) wire.Message {
		return &wire.TracksNew{
			SessionRef: p.SessionRef, Create: create, ThirdParty: sess.ThirdParty,
			SessionDescription: p.Offer, AutoDiscover: p.AutoDiscover, Push: p.Tracks,
		}
	})
	if err != nil {
		return TracksResult{}, err
	}
	return TracksResult{Description: reply.SessionDescription, Tracks: reply.Tracks}, nil
}
