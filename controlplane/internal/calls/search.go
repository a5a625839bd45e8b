package calls

import (
	"context"
	"errors"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"switchboard/controlplane/internal/directory"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// A question to all workers costs each of them a message, so each App has a
// limit of its own: sessions that do not exist must not cost the others.
const (
	searchesPerSecond = 20
	searchesBurst     = 50
	searchingApps     = 10_000
)

// searchLimit is a rate limit for each App.
type searchLimit struct {
	apps *lru.Cache[ids.AppID, *rate.Limiter]
}

func newSearchLimit() (*searchLimit, error) {
	apps, err := lru.New[ids.AppID, *rate.Limiter](searchingApps)
	return &searchLimit{apps}, err
}

func (l *searchLimit) allow(app ids.AppID) bool {
	limiter, ok := l.apps.Get(app)
	if !ok {
		fresh := rate.NewLimiter(searchesPerSecond, searchesBurst)
		if limiter, ok, _ = l.apps.PeekOrAdd(app, fresh); !ok {
			limiter = fresh
		}
	}
	return limiter.Allow()
}

// begin finds the session of a call. Where the directory does not show it, the
// owner is the one remembered, or else the worker that says it holds it.
func (s *Service) begin(ctx context.Context, ref wire.SessionRef) (session, error) {
	found, err := s.directory.Begin(ctx, ref)
	switch {
	case err == nil:
		s.remember(ref, found)
		return session{SessionRef: ref, Session: found}, nil
	case errors.Is(err, directory.ErrEnded):
		s.known.Remove(ref)
		return session{}, s.refused(err)
	case !errors.Is(err, directory.ErrMissing) && !errors.Is(err, directory.ErrUnavailable):
		return session{}, s.refused(err)
	}
	sess := session{SessionRef: ref, unconfirmed: errors.Is(err, directory.ErrUnavailable)}
	owner, ok, searchErr := s.search(ctx, ref)
	switch {
	case searchErr != nil:
		return session{}, searchErr
	case !ok:
		return session{}, s.refused(err)
	}
	sess.Session = owner
	return sess, nil
}

// search finds the owner of a session without the directory. A failure means
// that it could not be looked for.
func (s *Service) search(ctx context.Context, ref wire.SessionRef) (directory.Session, bool, error) {
	if known, ok := s.known.Get(ref); ok && !s.workers.Dead(known.Worker) {
		return known, true, nil
	}
	held, found, err := s.locate(ctx, ref)
	if err != nil || !found {
		return directory.Session{}, false, err
	}
	// A worker that holds it negotiated it, whatever rev it says.
	owner := directory.Session{Worker: held.Worker, Rev: max(held.Rev, 1)}
	s.remember(ref, owner)
	return owner, true, nil
}

// locate asks the workers who holds a session, within the App's limit.
func (s *Service) locate(ctx context.Context, ref wire.SessionRef) (wire.Located, bool, error) {
	if !s.searches.allow(ref.App) {
		return wire.Located{}, false, fault.StoreUnavailable.New("Too many sessions of this App are being looked for among the media workers. Retry after the time in Retry-After.")
	}
	held, found, err := s.workers.Locate(ctx, ref)
	if err != nil {
		s.log.Warn("ask workers for a session", zap.String("session", string(ref.Session)), zap.Error(err))
		return wire.Located{}, false, fault.StoreUnavailable.New("")
	}
	return held, found, nil
}

// lost decides what a command's failure means for a session that negotiated
// before. Its owner saying that it lacks the session, or being dead, makes the
// session gone only if the directory is complete and no other worker claims it.
func (s *Service) lost(ctx context.Context, sess session, cause error) error {
	lacks := fault.SessionGone.Is(cause)
	dead := fault.WorkerLost.Is(cause) && s.workers.Dead(sess.Worker)
	if sess.Rev == 0 || !lacks && !dead {
		return cause
	}
	s.known.Remove(sess.SessionRef)
	_, found, err := s.locate(ctx, sess.SessionRef)
	switch {
	case err != nil:
		return err
	case found:
		return fault.WorkerLost.New("")
	case sess.unconfirmed || !s.directory.Settled():
		return fault.StoreUnavailable.New("")
	}
	if lacks {
		// A dead worker's entry stays until its lease ends: should the worker be
		// cut off from NATS only, its sessions are whole when it is back.
		if err := s.directory.End(ctx, sess.SessionRef, sess.Worker); err != nil {
			s.log.Warn("record the end of a session", zap.String("session", string(sess.SessionRef.Session)), zap.Error(err))
		}
	}
	return fault.SessionGone.New("")
}
