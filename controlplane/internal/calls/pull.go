package calls

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Pull subscribes a session to publications. An item whose publishing session
// cannot be found fails alone; when no item is left and the client made no
// offer that needs an answer, no worker is asked.
func (s *Service) Pull(ctx context.Context, p Pull) (TracksResult, error) {
	ctx, cancel := s.withBudget(ctx)
	defer cancel()
	sess, err := s.begin(ctx, p.SessionRef)
	if err != nil {
		return TracksResult{}, err
	}
	origins := s.resolve(ctx, p.App, p.Tracks)
	publishers := mostOf(origins)
	if len(publishers) == 0 && p.Offer == nil {
		return TracksResult{Tracks: failed(p.Tracks, origins)}, nil
	}
	tracks := slices.Clone(p.Tracks)
	for i, o := range origins {
		tracks[i].Origin = nil
		if o.fault == nil {
			tracks[i].Origin = &wire.Origin{Worker: o.worker}
		}
	}
	reply, err := s.negotiate(ctx, sess, publishers, wire.OpTracksNew, func(create bool) wire.Message {
		return &wire.TracksNew{
			SessionRef: p.SessionRef, Create: create, ThirdParty: sess.ThirdParty, SessionDescription: p.Offer, Pull: tracks,
		}
	})
	if err != nil {
		return TracksResult{}, err
	}
	for i := range min(len(reply.Tracks), len(origins)) {
		// The worker only knows that it got no origin, not why.
		if reply.Tracks[i].Fault != nil && origins[i].fault != nil {
			reply.Tracks[i].Fault = origins[i].fault
		}
	}
	return TracksResult{Description: reply.SessionDescription, Tracks: reply.Tracks}, nil
}

// origin is where the publication of one item lives, or why that is not known.
type origin struct {
	worker ids.WorkerID
	fault  *fault.Fault
}

// resolve finds the origins of the items, in their order: with one round trip to
// the directory, and where that does not do, from memory and from the workers.
func (s *Service) resolve(ctx context.Context, app ids.AppID, tracks []wire.Pull) []origin {
	owners, complete := s.owners(ctx, app, publishingSessions(tracks))
	origins := make([]origin, len(tracks))
	for i, t := range tracks {
		worker, ok := owners[t.Session]
		switch {
		case ok && !s.workers.Dead(worker):
			origins[i].worker = worker
		case ok || complete:
			origins[i].fault = fault.TrackNotFound.New("")
		default:
			origins[i].fault = fault.TrackError.New("")
		}
	}
	return origins
}

// owners returns the owners of sessions. complete tells that a session without
// one does not exist, or was never placed.
func (s *Service) owners(ctx context.Context, app ids.AppID, sessions []ids.SessionID) (owners map[ids.SessionID]ids.WorkerID, complete bool) {
	if len(sessions) == 0 {
		return nil, true
	}
	owners, err := s.directory.Owners(ctx, app, sessions)
	switch {
	case err == nil && s.directory.Settled():
		return owners, true
	case err != nil:
		if !errors.Is(err, directory.ErrUnavailable) {
			s.log.Warn("find publishers", zap.Error(err))
		}
		owners = map[ids.SessionID]ids.WorkerID{}
	}
	unplaced := slices.DeleteFunc(slices.Clone(sessions), func(sid ids.SessionID) bool { return owners[sid] != "" })
	var mu sync.Mutex // guards owners
	var searches sync.WaitGroup
	for _, sid := range unplaced {
		searches.Go(func() {
			found, ok, err := s.search(ctx, wire.SessionRef{App: app, Session: sid})
			if err == nil && ok {
				mu.Lock()
				defer mu.Unlock()
				owners[sid] = found.Worker
			}
		})
	}
	searches.Wait()
	return owners, false
}

// publishingSessions returns the different sessions that the items name, those
// whose ids cannot be any session's left out.
func publishingSessions(tracks []wire.Pull) []ids.SessionID {
	var sessions []ids.SessionID
	for _, t := range tracks {
		if _, err := ids.ParseSessionID(string(t.Session)); err == nil && !slices.Contains(sessions, t.Session) {
			sessions = append(sessions, t.Session)
		}
	}
	return sessions
}

// mostOf returns the workers of the origins, the one with most of them first,
// equals in the order of the request.
func mostOf(origins []origin) []ids.WorkerID {
	count := map[ids.WorkerID]int{}
	var workers []ids.WorkerID
	for _, o := range origins {
		if o.fault != nil {
			continue
		}
		if count[o.worker]++; count[o.worker] == 1 {
			workers = append(workers, o.worker)
		}
	}
	slices.SortStableFunc(workers, func(a, b ids.WorkerID) int { return cmp.Compare(count[b], count[a]) })
	return workers
}

// failed returns the result of items of which none was found.
func failed(tracks []wire.Pull, origins []origin) []wire.TrackResult {
	results := make([]wire.TrackResult, len(tracks))
	for i, t := range tracks {
		results[i] = wire.TrackResult{TrackName: t.Track, Session: t.Session, Kind: t.Kind, Bidirectional: t.Bidirectional, Fault: origins[i].fault}
	}
	return results
}
