// Package directory is the record of which worker owns which session, in Redis.
//
// Every change is one Lua script, and every script touches the keys of one
// session only, whose names share a hash tag: it runs on Redis Cluster as it
// does on one server. Nothing scans.
//
//	sfu:gen           random; missing or changed: the store lost data
//	sfu:s:{<sid>}     hash app, worker, rev, tracksRev, state, thirdParty,
//	                  region, created; expires with the lease
//	sfu:s:{<sid>}:t   hash trackName → JSON wire.Publication; the same lease
//	sfu:s:{<sid>}:rl  hash tokens, at: the session's rate limit
//
// # Guarantees
//
// The directory can be rebuilt: workers renew their sessions' leases and
// announce whatever it turns out to lack. Ownership changes only by Claim,
// which compares and sets, and only while nothing was committed. A session of
// another App is answered as missing. When Redis does not answer, methods fail
// within half a second, and after a few failures at once (ErrUnavailable).
package directory

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// DefaultLease is how long an entry outlives its last renewal, or its creation
// when it never negotiated.
const DefaultLease = 60 * time.Second

// The rate limit of each session (contract: 50 calls a second).
const (
	callsPerSecond = 50
	callsBurst     = 100
)

// What methods fail with, beside the context's error.
var (
	// ErrUnavailable: Redis does not answer, or answers that it cannot serve.
	ErrUnavailable = errors.New("the directory does not answer")
	// ErrMissing: no such session in this App, as far as the directory knows.
	ErrMissing = errors.New("no such session")
	// ErrEnded: the session existed and has ended.
	ErrEnded = errors.New("the session has ended")
	// ErrRateLimited: too many calls on this session.
	ErrRateLimited = errors.New("too many calls on this session")
	// ErrFenced: another worker owns the session.
	ErrFenced = errors.New("another worker owns the session")
)

// Options change what New's directory does; the zero value is the default.
type Options struct {
	// Lease replaces DefaultLease. Every control plane must have the same.
	Lease time.Duration
	// Region is recorded with the sessions that this control plane creates.
	Region string
}

// Directory is a client of the store. Its methods are safe for concurrent use.
type Directory struct {
	client  redis.UniversalClient
	lease   time.Duration
	region  string
	breaker breaker
	// doubted is when the store was last known to be incomplete, in
	// nanoseconds since started; 0: never. Written by Watch and the breaker.
	doubted atomic.Int64
	started time.Time
}

// New returns a directory in the store behind client, which the caller closes.
// NewClient makes a suitable one.
func New(client redis.UniversalClient, o Options) *Directory {
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	return &Directory{client: client, lease: o.Lease, region: o.Region, started: time.Now()}
}

// Session is what the directory knows of a session.
type Session struct {
	// Worker owns it; empty when it was never placed.
	Worker ids.WorkerID
	// Rev is the revision up to which the entry is complete; 0: nothing was
	// committed, so that its owner may still change.
	Rev uint64
	// ThirdParty as given at its creation.
	ThirdParty bool
}

// Create records a new session of an App, owned by worker if that is not empty.
func (d *Directory) Create(ctx context.Context, ref wire.SessionRef, thirdParty bool, worker ids.WorkerID) error {
	_, err := d.run(ctx, createScript, keys(ref.Session)[:1], string(ref.App), string(worker), flag(thirdParty), d.region, d.leaseMS())
	return err
}

// Begin is the start of a call: it checks that the session exists in this App
// and takes one call from its rate limit.
func (d *Directory) Begin(ctx context.Context, ref wire.SessionRef) (Session, error) {
	reply, err := d.run(ctx, beginScript, []string{sessionKey(ref.Session), sessionKey(ref.Session) + ":rl"},
		string(ref.App), callsPerSecond, callsBurst)
	if err != nil {
		return Session{}, err
	}
	return parseSession(reply)
}

// Claim makes worker the owner of a session that nothing was committed of and
// that is owned by instead (empty: by nobody). It returns the session as it is
// then: its Worker is the winner, whoever that is.
func (d *Directory) Claim(ctx context.Context, ref wire.SessionRef, worker, instead ids.WorkerID) (Session, error) {
	reply, err := d.run(ctx, claimScript, keys(ref.Session)[:1], string(ref.App), string(worker), string(instead), d.leaseMS())
	if err != nil {
		return Session{}, err
	}
	return parseSession(reply)
}

// Commit records what a command did: worker's reply to it. ErrFenced means that
// the worker does not own the session. A missing or later entry is not an
// error: the worker's next renewal decides what is true.
func (d *Directory) Commit(ctx context.Context, ref wire.SessionRef, worker ids.WorkerID, reply *wire.Reply) error {
	args := []any{string(ref.App), string(worker), reply.Rev, d.leaseMS(), flag(reply.Publications != nil)}
	if reply.Publications != nil {
		var err error
		if args, err = appendPublications(args, *reply.Publications); err != nil {
			return err
		}
	}
	status, err := d.run(ctx, commitScript, keys(ref.Session), args...)
	if err != nil {
		return err
	}
	if status == "fenced" {
		return ErrFenced
	}
	return nil
}

// End records that worker, the owner, no longer holds the session. Begin then
// answers ErrEnded for one lease. It does nothing where worker is not the owner.
func (d *Directory) End(ctx context.Context, ref wire.SessionRef, worker ids.WorkerID) error {
	_, err := d.run(ctx, endScript, keys(ref.Session), string(ref.App), string(worker), d.leaseMS())
	return err
}

// Owners returns the workers of those of the sessions that are placed, live and
// of this App, in one round trip.
func (d *Directory) Owners(ctx context.Context, app ids.AppID, sessions []ids.SessionID) (map[ids.SessionID]ids.WorkerID, error) {
	commands := make([]*redis.SliceCmd, len(sessions))
	err := d.guard(ctx, func() error {
		_, err := d.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, sid := range sessions {
				commands[i] = p.HMGet(ctx, sessionKey(sid), "app", "state", "worker")
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	owners := make(map[ids.SessionID]ids.WorkerID, len(sessions))
	for i, sid := range sessions {
		values := commands[i].Val()
		if worker, _ := values[2].(string); values[0] == string(app) && values[1] != "ended" && worker != "" {
			owners[sid] = ids.WorkerID(worker)
		}
	}
	return owners, nil
}

// Settled reports whether an absent entry may be believed: Redis answers, and
// for a lease period it has neither failed nor lost data. Until then a session
// that it lacks may be one whose worker has not announced it yet.
func (d *Directory) Settled() bool {
	doubted := d.doubted.Load()
	return doubted == 0 || time.Since(d.started)-time.Duration(doubted) >= d.lease
}

// doubt restarts the period after which absent entries are believed again.
func (d *Directory) doubt() { d.doubted.Store(int64(time.Since(d.started))) }

func (d *Directory) leaseMS() int64 { return d.lease.Milliseconds() }

func sessionKey(sid ids.SessionID) string { return "sfu:s:{" + string(sid) + "}" }

// keys returns the names of a session's entry and of its track list.
func keys(sid ids.SessionID) []string {
	key := sessionKey(sid)
	return []string{key, key + ":t"}
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

func appendPublications(args []any, publications []wire.Publication) ([]any, error) {
	for _, p := range publications {
		text, err := wire.Encode(p)
		if err != nil {
			return nil, fmt.Errorf("encode publication %q: %w", p.TrackName, err)
		}
		args = append(args, string(p.TrackName), text)
	}
	return args, nil
}
