package calls

import (
	"context"

	"switchboard/controlplane/internal/dispatch"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Renegotiate delivers the client's answer to the SFU's outstanding offer.
func (s *Service) Renegotiate(ctx context.Context, r wire.Renegotiate) error {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	sess, err := s.begin(ctx, r.SessionRef)
	if err != nil {
		return err
	}
	if sess.Worker == "" {
		return fault.HaveNoOffer.New("")
	}
	_, err = s.command(ctx, sess, wire.OpRenegotiate, &r)
	if neverNegotiated(sess, err) {
		return fault.HaveNoOffer.New("")
	}
	return err
}

// CloseTracks ends tracks of a session. A session that never negotiated has
// none, so every item fails; an offer is answered nevertheless.
func (s *Service) CloseTracks(ctx context.Context, c wire.TracksClose) (TracksResult, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	sess, err := s.begin(ctx, c.SessionRef)
	if err != nil {
		return TracksResult{}, err
	}
	if sess.Worker != "" {
		reply, err := s.command(ctx, sess, wire.OpTracksClose, &c)
		if err == nil {
			return TracksResult{Description: reply.SessionDescription, Tracks: reply.Tracks}, nil
		}
		if !neverNegotiated(sess, err) {
			return TracksResult{}, err
		}
	}
	result := TracksResult{Tracks: make([]wire.TrackResult, len(c.Mids))}
	for i, mid := range c.Mids {
		result.Tracks[i] = wire.TrackResult{Mid: mid, Fault: fault.CloseTrackError.New("")}
	}
	if c.SessionDescription == nil {
		return result, nil
	}
	reply, err := s.negotiate(ctx, sess, nil, wire.OpCreate, createWith(sess, c.SessionDescription))
	if err != nil {
		return TracksResult{}, err
	}
	result.Description = reply.SessionDescription
	return result, nil
}

// Describe returns a session's state as its worker knows it.
func (s *Service) Describe(ctx context.Context, ref wire.SessionRef) (*wire.SessionState, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	sess, err := s.begin(ctx, ref)
	if err != nil {
		return nil, err
	}
	fresh := &wire.SessionState{SessionRef: ref, Connection: wire.ConnectionNew, Tracks: []wire.TrackState{}}
	if sess.Worker == "" {
		return fresh, nil
	}
	var state wire.SessionState
	err = s.workers.Do(ctx, dispatch.Command{
		Worker: sess.Worker, Operation: wire.OpGet, ID: ids.NewCommandID(), Message: &wire.Get{SessionRef: ref},
	}, &state)
	switch {
	case err == nil:
		return &state, nil
	case neverNegotiated(sess, err):
		return fresh, nil
	}
	return nil, s.lost(ctx, sess, err)
}

// neverNegotiated reports whether a session's owner was claimed, but has not
// heard of the session: its first call is still on the way, or failed.
func neverNegotiated(sess session, err error) bool {
	return sess.Rev == 0 && fault.SessionGone.Is(err)
}
