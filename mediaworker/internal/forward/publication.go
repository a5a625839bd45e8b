package forward

import (
	"sync"
	"time"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// PublicationConfig says what a Publication is.
type PublicationConfig struct {
	App ids.AppID
	Key ids.TrackKey
	// Generation counts the times this name was published in the session.
	Generation uint64
	Kind       wire.Kind
	// Usage of the publisher's session. The publication counts in a child of
	// it and ends that child when it is closed. May be nil.
	Usage *Usage
}

// Publication is a pushed track: its layers, and the sinks that their packets
// go to. It survives the peer that feeds it: a Leg that binds a stream to a
// layer replaces the layer's former source, and the sinks are not told. Safe for
// concurrent use.
type Publication struct {
	cfg    PublicationConfig
	active chan struct{}
	closed chan struct{}
	mu     sync.Mutex
}

// NewPublication returns a publication without source or sinks. It must be
// closed.
func NewPublication(cfg PublicationConfig) *Publication {
	return &Publication{cfg: cfg, active: make(chan struct{}), closed: make(chan struct{})}
}

// Config returns what NewPublication was given.
func (p *Publication) Config() PublicationConfig { return p.cfg }

// Active is closed when the first packet ever has come in.
func (p *Publication) Active() <-chan struct{} { return p.active }

// Codec returns the codec of the publication, or false before a stream is
// bound.
func (p *Publication) Codec() (Codec, bool) { return Codec{}, false }

// Layers returns the layers with what they received, in the order in which they
// appeared; a plain track has one layer without a rid.
func (p *Publication) Layers() []wire.LayerState { return nil }

// Usage returns what the publication received, all layers together.
func (p *Publication) Usage() wire.Usage { return wire.Usage{} }

// LastPacket returns when the last packet came in, or the zero time before the
// first.
func (p *Publication) LastPacket() time.Time { return time.Time{} }

// Attach adds a sink, which gets every packet from now on. Attaching a sink
// again does nothing.
func (p *Publication) Attach(s Sink) {}

// Detach removes a sink. A burst that is being sent may still reach it.
func (p *Publication) Detach(s Sink) {}

// Close ends the publication: streams bound to it are ignored from now on, its
// cache is given back, sinks get nothing more. It does not wait for a sink that
// is blocked. A second call does nothing.
func (p *Publication) Close() {}

// Closed is closed by Close.
func (p *Publication) Closed() <-chan struct{} { return p.closed }
