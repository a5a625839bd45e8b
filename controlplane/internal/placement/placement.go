// Package placement chooses the media worker of a session. It is pure: the
// cluster, the time and the random numbers are arguments, and a Plan is a value
// that executes nothing.
//
// # Why sessions are kept together
//
// A pull whose publication lives on another worker costs a relay leg. Random
// placement makes nearly every pull such a leg, so a session that begins with a
// pull goes to the publisher's worker, and one that begins with a push goes to
// its App's shard: the first few workers of the App's own order of them
// (rendezvous hashing), as few as carry it.
package placement

import (
	"cmp"
	"slices"
	"time"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// A worker is judged by the age of its newest heartbeat at the receiver; one is
// due every second.
const (
	// SuspectAfter is the age from which a worker gets no new sessions.
	SuspectAfter = 3 * time.Second
	// DeadAfter is the age from which a worker counts as gone.
	DeadAfter = 6 * time.Second
)

const (
	// MaxCandidates is the most workers a Plan names.
	MaxCandidates = 3
	// sessionsPerShardWorker is how many sessions of one App widen its shard by
	// one worker.
	sessionsPerShardWorker = 250
	// hot is the score of a shard's best worker from which sessions may spill
	// to workers outside of the shard.
	hot = 0.85
	// spillGain is how much lower the outside worker's score must be: locality
	// is not given up for a small difference.
	spillGain = 0.1
)

// Policy says what placement optimises.
type Policy string

// The policies.
const (
	// Local keeps the sessions of an App and the audience of a publication
	// together. The default.
	Local Policy = "local"
	// Spread puts successive sessions on different workers, so that pulls cross
	// workers as often as possible. For development and tests.
	Spread Policy = "spread"
)

// Worker is what one worker's newest heartbeat said.
type Worker struct {
	ID     ids.WorkerID
	Region string
	State  wire.WorkerState
	// Sessions held, and the most it takes; MaxSessions 0 means no limit.
	Sessions, MaxSessions int
	// CPU is the share of the worker's processors in use, 0 to 1.
	CPU float64
	// AppSessions counts the sessions of its largest Apps. Read only.
	AppSessions map[ids.AppID]int
	// LastBeat is when the heartbeat was received.
	LastBeat time.Time
}

// Score is the worker's load: the larger of CPU and the share of its capacity
// in use. 1 means loaded to the full.
func (w *Worker) Score() float64 {
	if w.MaxSessions == 0 {
		return w.CPU
	}
	return max(w.CPU, float64(w.Sessions)/float64(w.MaxSessions))
}

// TakesSessions reports whether a new session may go to w: it serves, is not
// full, and was heard within SuspectAfter.
func (w *Worker) TakesSessions(now time.Time) bool {
	full := w.MaxSessions > 0 && w.Sessions >= w.MaxSessions
	return w.State == wire.WorkerServing && !full && now.Sub(w.LastBeat) < SuspectAfter
}

// Cluster is every worker known, sorted by id. A value is never changed once made.
type Cluster []Worker

// Request describes the session to place.
type Request struct {
	App    ids.AppID
	Policy Policy
	// Region is the caller's. Workers of other regions are used only where no
	// worker of this one takes sessions; empty means that regions don't matter.
	Region string
	// Publishers are the workers that hold what the session pulls first, the
	// one that holds most of it first.
	Publishers []ids.WorkerID
	// Sequence numbers the caller's placements, for Spread.
	Sequence uint64
	// Random is a uniformly distributed number, fresh for every request.
	Random uint64
}

// Plan makes the list of workers to try, best first. It is empty when no worker
// takes sessions.
func (c Cluster) Plan(r Request, now time.Time) Plan {
	open := c.open(now)
	region := inRegion(open, r.Region)
	if r.Policy == Spread {
		return spread(region, r.Sequence)
	}
	var plan Plan
	for _, id := range r.Publishers {
		if slices.ContainsFunc(open, func(w *Worker) bool { return w.ID == id }) {
			plan = plan.add(id, ReasonPublisher)
		}
	}
	rank(region, r.App)
	width := min(len(region), 1+c.size(r.App, r.Region)/sessionsPerShardWorker)
	shard, outside := pickTwo(region[:width], r.Random), pickTwo(region[width:], mix(r.Random))
	if len(shard) > 0 && len(outside) > 0 && shard[0].Score() >= hot && outside[0].Score()+spillGain <= shard[0].Score() {
		plan = plan.add(outside[0].ID, ReasonSpill)
	}
	for _, w := range shard {
		plan = plan.add(w.ID, ReasonShard)
	}
	for _, w := range outside {
		plan = plan.add(w.ID, ReasonSpill)
	}
	return plan
}

// open returns the workers that take sessions, in the order of their ids.
func (c Cluster) open(now time.Time) []*Worker {
	open := make([]*Worker, 0, len(c))
	for i := range c {
		if c[i].TakesSessions(now) {
			open = append(open, &c[i])
		}
	}
	return open
}

// size returns the App's sessions in the region, as far as heartbeats tell.
func (c Cluster) size(app ids.AppID, region string) int {
	n := 0
	for i := range c {
		if region == "" || c[i].Region == region {
			n += c[i].AppSessions[app]
		}
	}
	return n
}

// inRegion returns a new slice of the workers of a region, or of all when it has none.
func inRegion(workers []*Worker, region string) []*Worker {
	if region == "" {
		return slices.Clone(workers)
	}
	in := slices.DeleteFunc(slices.Clone(workers), func(w *Worker) bool { return w.Region != region })
	if len(in) == 0 {
		return slices.Clone(workers)
	}
	return in
}

func spread(workers []*Worker, sequence uint64) Plan {
	var plan Plan
	for i := range min(len(workers), MaxCandidates) {
		w := workers[(sequence+uint64(i))%uint64(len(workers))]
		plan = plan.add(w.ID, ReasonSpread)
	}
	return plan
}

// rank sorts workers into the App's own order (rendezvous hashing): a worker
// that comes or goes moves only the Apps that it ranked first for.
func rank(workers []*Worker, app ids.AppID) {
	type ranked struct {
		weight uint64
		worker *Worker
	}
	order := make([]ranked, len(workers))
	for i, w := range workers {
		order[i] = ranked{weight(app, w.ID), w}
	}
	slices.SortFunc(order, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.worker.ID, b.worker.ID))
	})
	for i := range order {
		workers[i] = order[i].worker
	}
}

// weight hashes the pair by FNV-1a with a finalizer, because FNV's high bits
// hardly depend on the last characters. Every control plane must compute the
// same, so the function is part of the protocol between them.
func weight(app ids.AppID, worker ids.WorkerID) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(app) {
		h = (h ^ uint64(app[i])) * prime
	}
	h *= prime // a zero byte between the two names
	for i := range len(worker) {
		h = (h ^ uint64(worker[i])) * prime
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64: every bit of x changes every bit of the
// result with probability one half.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// pickTwo returns up to two different workers chosen by random, the less loaded
// first (power of two choices: close to the best worker's load without sending
// every caller to the same one between two heartbeats).
func pickTwo(workers []*Worker, random uint64) []*Worker {
	n := uint64(len(workers))
	if n < 2 {
		return workers
	}
	first := random % n
	second := (first + 1 + (random>>32)%(n-1)) % n
	two := []*Worker{workers[first], workers[second]}
	slices.SortStableFunc(two, func(a, b *Worker) int {
		return cmp.Or(cmp.Compare(a.Score(), b.Score()), cmp.Compare(a.Sessions, b.Sessions))
	})
	return two
}
