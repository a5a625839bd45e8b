package placement

import (
	"slices"
	"strings"

	"switchboard/shared/ids"
)

// Reason says why a worker is in a Plan.
type Reason string

// The reasons.
const (
	// ReasonPublisher: it holds a publication that the session pulls.
	ReasonPublisher Reason = "publisher"
	// ReasonShard: it belongs to the App's shard.
	ReasonShard Reason = "shard"
	// ReasonSpill: it is outside of the shard, less loaded or an alternate.
	ReasonSpill Reason = "spill"
	// ReasonSpread: its turn under the Spread policy.
	ReasonSpread Reason = "spread"
)

// Candidate is one worker of a Plan.
type Candidate struct {
	Worker ids.WorkerID
	Reason Reason
}

// Plan is up to MaxCandidates different workers, to be tried in this order.
type Plan []Candidate

// String returns "worker (reason), …", for logs and tests.
func (p Plan) String() string {
	if len(p) == 0 {
		return "none"
	}
	parts := make([]string, len(p))
	for i, c := range p {
		parts[i] = string(c.Worker) + " (" + string(c.Reason) + ")"
	}
	return strings.Join(parts, ", ")
}

// add appends a worker that p does not hold yet, while there is room.
func (p Plan) add(w ids.WorkerID, why Reason) Plan {
	if len(p) == MaxCandidates || slices.ContainsFunc(p, func(c Candidate) bool { return c.Worker == w }) {
		return p
	}
	return append(p, Candidate{w, why})
}
