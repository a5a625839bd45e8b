// Package session is the actor behind one session: negotiation only.
package session

import (
	"context"
	"iter"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Deps is what a Registry is given.
type Deps struct {
	Peers       *peer.Factory
	Switchboard *switchboard.Switchboard
	Worker      ids.WorkerID
	Log         *zap.Logger
	// MaxSessions is the most sessions at once; 0 sets no limit.
	MaxSessions int
}

// Command is one session command.
type Command struct {
	// ID is repeated by a retry, which gets the first attempt's outcome.
	ID ids.CommandID
	Op wire.Operation
	// Message is the decoded, validated message of the operation (a pointer:
	// *wire.Create, *wire.TracksNew, ...).
	Message wire.Message
}

// Registry holds the sessions of a worker. Safe for concurrent use.
type Registry struct{ deps Deps }

// NewRegistry returns an empty registry.
func NewRegistry(deps Deps) *Registry { return &Registry{deps: deps} }

// Do executes a command and returns its *wire.Reply, or for Get the
// *wire.SessionState. An error is or wraps a *fault.Fault. ctx carries the
// call's time budget.
func (r *Registry) Do(ctx context.Context, command Command) (wire.Message, error) {
	return nil, fault.Internal.New("")
}

// Locate reports whether the worker holds the session, and its rev.
func (r *Registry) Locate(app ids.AppID, session ids.SessionID) (rev uint64, ok bool) {
	return 0, false
}

// Leases yields every session with what the directory keeps of it.
func (r *Registry) Leases() iter.Seq[wire.Announcement] {
	return func(func(wire.Announcement) bool) {}
}

// Fence closes sessions that another worker owns.
func (r *Registry) Fence(sessions []ids.SessionID) {}

// Count returns how many sessions, publications and subscriptions are held.
func (r *Registry) Count() Count { return Count{} }

// Count is what a worker holds.
type Count struct{ Sessions, Publications, Subscriptions int }

// Apps returns each App's total since the worker's start, ended sessions
// included, and the number of sessions that each App holds now.
func (r *Registry) Apps() (usage map[ids.AppID]wire.Usage, sessions map[ids.AppID]int) {
	return nil, nil
}

// Total returns the worker's total since its start.
func (r *Registry) Total() wire.Usage { return wire.Usage{} }

// Drain refuses new sessions from now on. Empty is closed when none is left.
func (r *Registry) Drain() (empty <-chan struct{}) { return nil }

// Close ends every session and waits for their goroutines.
func (r *Registry) Close() {}
