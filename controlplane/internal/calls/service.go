package calls

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/directory"
	"switchboard/controlplane/internal/dispatch"
	"switchboard/controlplane/internal/placement"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Budget is the longest a call takes. Workers wait up to 5 s for a transport to
// connect; clients give up after 10 s.
const Budget = 8 * time.Second

// knownSessions is how many sessions' owners are remembered for the time when
// the directory does not answer.
const knownSessions = 100_000

// Directory is the record of sessions. Its errors are those of package
// directory.
type Directory interface {
	Create(ctx context.Context, ref wire.SessionRef, thirdParty bool, worker ids.WorkerID) error
	Begin(ctx context.Context, ref wire.SessionRef) (directory.Session, error)
	Claim(ctx context.Context, ref wire.SessionRef, worker, instead ids.WorkerID) (directory.Session, error)
	Commit(ctx context.Context, ref wire.SessionRef, worker ids.WorkerID, reply *wire.Reply) error
	End(ctx context.Context, ref wire.SessionRef, worker ids.WorkerID) error
	Owners(ctx context.Context, app ids.AppID, sessions []ids.SessionID) (map[ids.SessionID]ids.WorkerID, error)
	// Settled reports whether an absent entry may be believed.
	Settled() bool
}

// Workers reaches the media workers. Its faults are those of package dispatch.
type Workers interface {
	Do(ctx context.Context, cmd dispatch.Command, reply wire.Message) error
	Locate(ctx context.Context, ref wire.SessionRef) (held wire.Located, found bool, err error)
	Cluster() placement.Cluster
	// Dead reports whether a worker is known to be gone.
	Dead(w ids.WorkerID) bool
}

// Options change how sessions are placed; the zero value is placement.Local
// without regions.
type Options struct {
	Policy placement.Policy
	// Region of this control plane.
	Region string
	// Log gets what the caller cannot see; nil discards.
	Log *zap.Logger
}

// Service executes calls. It keeps nothing that it cannot lose. Its methods are
// safe for concurrent use; they finish what they began when the caller goes
// away, within Budget, so that what a worker did is recorded. Errors are
// *fault.Fault, alone or wrapped, or defects.
type Service struct {
	directory  Directory
	workers    Workers
	options    Options
	log        *zap.Logger
	known      *lru.Cache[wire.SessionRef, directory.Session]
	searches   *searchLimit
	placements atomic.Uint64
	// budget is Budget, shorter in tests.
	budget time.Duration
}

// New returns a service over a directory and workers, which stay the caller's.
func New(d Directory, w Workers, o Options) (*Service, error) {
	if o.Policy == "" {
		o.Policy = placement.Local
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	known, err := lru.New[wire.SessionRef, directory.Session](knownSessions)
	if err != nil {
		return nil, err
	}
	searches, err := newSearchLimit()
	if err != nil {
		return nil, err
	}
	return &Service{directory: d, workers: w, options: o, log: o.Log, known: known, searches: searches, budget: Budget}, nil
}

// session is one session during one call.
type session struct {
	wire.SessionRef
	directory.Session
	// unconfirmed: the directory did not answer.
	unconfirmed bool
}

// withBudget detaches a call from its caller's patience.
func (s *Service) withBudget(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), s.budget)
}

// negotiate sends a command that may be a session's first: it places a session
// that has no owner yet, and moves one that nothing was committed of when its
// owner refuses it or is lost. message makes the command; create tells whether
// the worker shall make the session.
func (s *Service) negotiate(ctx context.Context, sess session, publishers []ids.WorkerID, op wire.Operation, message func(create bool) wire.Message) (*wire.Reply, error) {
	if sess.Rev > 0 {
		return s.command(ctx, sess, op, message(false))
	}
	command := dispatch.Command{Operation: op, ID: ids.NewCommandID(), Message: message(true)}
	candidates := s.plan(sess.App, publishers)
	tried := map[ids.WorkerID]bool{"": true} // no owner is as good as one that refused
	for {
		for tried[sess.Worker] {
			candidates = slices.DeleteFunc(candidates, func(c placement.Candidate) bool { return tried[c.Worker] })
			if len(candidates) == 0 || len(tried) > placement.MaxCandidates {
				return nil, fault.NoWorker.New("")
			}
			claimed, err := s.directory.Claim(ctx, sess.SessionRef, candidates[0].Worker, sess.Worker)
			if err != nil {
				return nil, s.refused(err)
			}
			candidates, sess.Session = candidates[1:], claimed
		}
		if sess.Rev > 0 { // another replica's call was the first after all
			return s.command(ctx, sess, op, message(false))
		}
		command.Worker = sess.Worker
		var reply wire.Reply
		err := s.workers.Do(ctx, command, &reply)
		switch {
		case err == nil:
			return &reply, s.commit(ctx, sess, &reply)
		case !fault.NoWorker.Is(err) && !fault.WorkerLost.Is(err):
			return nil, err
		}
		s.log.Info("worker does not take the session", zap.String("session", string(sess.SessionRef.Session)),
			zap.String("worker", string(sess.Worker)), zap.Error(err))
		tried[sess.Worker] = true
	}
}

// plan asks placement for workers.
func (s *Service) plan(app ids.AppID, publishers []ids.WorkerID) placement.Plan {
	return s.workers.Cluster().Plan(placement.Request{
		App: app, Policy: s.options.Policy, Region: s.options.Region, Publishers: publishers,
		Sequence: s.placements.Add(1) - 1,
		Random:   rand.Uint64(),
	}, time.Now())
}

// command sends a command to the owner of a session and records the outcome.
func (s *Service) command(ctx context.Context, sess session, op wire.Operation, message wire.Message) (*wire.Reply, error) {
	var reply wire.Reply
	err := s.workers.Do(ctx, dispatch.Command{Worker: sess.Worker, Operation: op, ID: ids.NewCommandID(), Message: message}, &reply)
	if err != nil {
		return nil, s.lost(ctx, sess, err)
	}
	return &reply, s.commit(ctx, sess, &reply)
}

// commit records what a worker did. It fails only when the worker is fenced: a
// directory that does not answer, or has lost the entry, is repaired by the
// worker's next renewal, because the worker's revision is then the higher one.
// Failing the call instead would tell the client that nothing happened, and its
// retry would meet a peer that has already applied its offer.
func (s *Service) commit(ctx context.Context, sess session, reply *wire.Reply) error {
	err := s.directory.Commit(ctx, sess.SessionRef, sess.Worker, reply)
	if errors.Is(err, directory.ErrFenced) {
		s.known.Remove(sess.SessionRef)
		s.closeOrphan(ctx, sess)
		return fmt.Errorf("worker %s is fenced: %w", sess.Worker, fault.WorkerLost.New("Another media worker took this session over during the call. Retry."))
	}
	if err != nil {
		s.log.Warn("the directory was not told of a call; the worker's renewal will", zap.String("session", string(sess.SessionRef.Session)),
			zap.String("worker", string(sess.Worker)), zap.Uint64("rev", reply.Rev), zap.Error(err))
	}
	s.remember(sess.SessionRef, directory.Session{Worker: sess.Worker, Rev: reply.Rev, ThirdParty: sess.ThirdParty})
	return nil
}

// closeOrphan ends a session on a worker that does not own it. Where that fails
// the worker's next renewal is fenced.
func (s *Service) closeOrphan(ctx context.Context, sess session) {
	var reply wire.Reply
	err := s.workers.Do(ctx, dispatch.Command{
		Worker: sess.Worker, Operation: wire.OpClose, ID: ids.NewCommandID(), Message: &wire.Close{SessionRef: sess.SessionRef},
	}, &reply)
	if err != nil && !fault.SessionGone.Is(err) {
		s.log.Warn("an orphan was not closed; its renewal will be fenced", zap.String("session", string(sess.SessionRef.Session)),
			zap.String("worker", string(sess.Worker)), zap.Error(err))
	}
}

// remember keeps the owner of a session that negotiated.
func (s *Service) remember(ref wire.SessionRef, found directory.Session) {
	if found.Rev > 0 {
		s.known.Add(ref, found)
	}
}

// refused turns a failure of the directory into what the client is told.
func (s *Service) refused(err error) error {
	switch {
	case errors.Is(err, directory.ErrRateLimited):
		return fault.RateLimited.New("")
	case errors.Is(err, directory.ErrEnded), errors.Is(err, directory.ErrMissing) && s.directory.Settled():
		return fault.SessionGone.New("")
	case errors.Is(err, directory.ErrUnavailable), errors.Is(err, directory.ErrMissing):
		return fmt.Errorf("%w (%w)", fault.StoreUnavailable.New(""), err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w (%w)", fault.Timeout.New(""), err)
	}
	return err
}
