// Package switchboard finds publications: (App, session, track name) → the
// publication, on this worker or through a Relay on another one.
//
// Guarantees: an App never sees another App's publications; a pull that comes
// before its publisher's first packet waits for it, and ends at once when the
// publisher's session does; a wait holds no lock.
package switchboard

import (
	"context"
	"sync"
	"time"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// announceWithin is how long a pull waits for a name that a connected publisher
// has not pushed: its push may be on the way, but clients give up after 5 s, and
// one unknown name must not hold up the others of its call.
const announceWithin = time.Second

// Relay opens a publication that lives on another worker. The publication it
// returns is fed for as long as it has sinks. An error is or wraps a
// *fault.Fault.
type Relay interface {
	Open(ctx context.Context, app ids.AppID, key ids.TrackKey, origin wire.Origin) (*forward.Publication, error)
}

// Config is what a Switchboard is given.
type Config struct {
	// Worker is this worker's id.
	Worker ids.WorkerID
	// Relay opens publications of other workers; nil answers RelayUnavailable.
	Relay Relay
}

// Switchboard holds the publications of a worker. Safe for concurrent use.
type Switchboard struct {
	config Config

	mu     sync.Mutex // guards what follows
	boards map[address]*Board
	tracks int
}

type address struct {
	app     ids.AppID
	session ids.SessionID
}

// New returns an empty switchboard.
func New(config Config) *Switchboard {
	if config.Relay == nil {
		config.Relay = noRelay{}
	}
	return &Switchboard{config: config, boards: make(map[address]*Board)}
}

// Board is one session's publications. Its session leaves when it ends.
type Board struct {
	owner     *Switchboard
	address   address
	tracks    map[ids.TrackName]*forward.Publication // guarded by owner.mu, as are all below
	connected bool
	left      bool
	changed   chan struct{} // closed and replaced at every change
}

// Join opens the board of a session. There is one at a time for a session.
func (s *Switchboard) Join(app ids.AppID, session ids.SessionID) *Board {
	b := &Board{
		owner: s, address: address{app, session},
		tracks: make(map[ids.TrackName]*forward.Publication), changed: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.boards[b.address] = b
	return b
}

// Publish makes p known under its name, in place of a former publication.
func (b *Board) Publish(name ids.TrackName, p *forward.Publication) {
	b.change(func() { b.tracks[name] = p })
}

// Withdraw removes a publication, if it is still p that has the name.
func (b *Board) Withdraw(name ids.TrackName, p *forward.Publication) {
	b.change(func() {
		if b.tracks[name] == p {
			delete(b.tracks, name)
		}
	})
}

// SetConnected says whether the publisher's transport is up.
func (b *Board) SetConnected(connected bool) { b.change(func() { b.connected = connected }) }

// Leave closes the board: those who wait for one of its publications hear at
// once that there is none.
func (b *Board) Leave() {
	b.change(func() {
		b.left = true
		clear(b.tracks)
		if b.owner.boards[b.address] == b {
			delete(b.owner.boards, b.address)
		}
	})
}

func (b *Board) change(apply func()) {
	b.owner.mu.Lock()
	defer b.owner.mu.Unlock()
	before := len(b.tracks)
	apply()
	b.owner.tracks += len(b.tracks) - before
	close(b.changed)
	b.changed = make(chan struct{})
}

// Tracks counts the publications of all sessions.
func (s *Switchboard) Tracks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks
}

// Await returns the publication once it has had its first packet. It waits for
// the publisher until ctx ends: then the error is TrackNotFound while the
// publication is unknown or its publisher not connected, else EmptyTrack. A name
// that is unknown while its publisher is connected is waited for one second at
// most. A publication that ever sent is returned at once, even if it is silent
// now. A nil origin, or a session that is not here, fails at once with
// TrackNotFound.
func (s *Switchboard) Await(ctx context.Context, app ids.AppID, key ids.TrackKey, origin *wire.Origin) (*forward.Publication, error) {
	if origin == nil {
		return nil, fault.TrackNotFound.New("")
	}
	if origin.Worker != s.config.Worker {
		return s.config.Relay.Open(ctx, app, key, *origin)
	}
	var unknown <-chan time.Time // set while a connected publisher has no such name
	for {
		found := s.look(address{app, key.Session}, key.Track)
		if found.left {
			return nil, fault.TrackNotFound.New("")
		}
		var active <-chan struct{}
		switch {
		case found.publication != nil:
			active, unknown = found.publication.Active(), nil
			select {
			case <-active:
				return found.publication, nil
			default:
			}
		case !found.connected:
			unknown = nil
		case unknown == nil:
			unknown = time.After(announceWithin)
		}
		select {
		case <-active:
			return found.publication, nil
		case <-found.changed:
		case <-unknown:
			return nil, fault.TrackNotFound.New("")
		case <-ctx.Done():
			if found.publication == nil || !found.connected {
				return nil, fault.TrackNotFound.New("")
			}
			return nil, fault.EmptyTrack.New("")
		}
	}
}

type sight struct {
	publication     *forward.Publication
	connected, left bool
	changed         <-chan struct{}
}

func (s *Switchboard) look(a address, name ids.TrackName) sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boards[a]
	if b == nil {
		return sight{left: true}
	}
	return sight{publication: b.tracks[name], connected: b.connected, changed: b.changed}
}

// noRelay is a worker without links to others.
type noRelay struct{}

// Open implements Relay.
func (noRelay) Open(context.Context, ids.AppID, ids.TrackKey, wire.Origin) (*forward.Publication, error) {
	return nil, fault.RelayUnavailable.New("")
}
