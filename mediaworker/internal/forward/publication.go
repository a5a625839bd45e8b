package forward

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"switchboard/mediaworker/internal/layer"
	"switchboard/mediaworker/internal/packet"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	// maxLayers bounds the layers of one publication.
	maxLayers = 16
	// silentAfter is how long a layer may be silent, while another one is not,
	// before it counts as not being sent.
	silentAfter = 2 * time.Second
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
	// Panicked is told of a panic over the publisher's packets, on the goroutine
	// and with the stack of it. May be nil; it must not block.
	Panicked func(value any)
}

// Publication is a pushed track: its layers, and the sinks that their packets
// go to. It survives the peer that feeds it: a Leg that binds a stream to a
// layer replaces the layer's former source, and the sinks are not told. Safe for
// concurrent use.
type Publication struct {
	cfg    PublicationConfig
	usage  *Usage
	active chan struct{} // closed at the first packet
	closed chan struct{}

	outlets atomic.Pointer[[]*outlet]   // copied on write
	layers  atomic.Pointer[[]*encoding] // copied on write, only ever grows
	version atomic.Uint32               // of the layers and of which are active
	flowing atomic.Bool                 // active is closed

	mu      sync.Mutex // guards writing outlets and layers, and what follows
	streams uint32
	ended   bool
}

// NewPublication returns a publication without source or sinks. It must be
// closed.
func NewPublication(cfg PublicationConfig) *Publication {
	p := &Publication{
		cfg: cfg, usage: cfg.Usage.Child(),
		active: make(chan struct{}), closed: make(chan struct{}),
	}
	p.outlets.Store(&[]*outlet{})
	p.layers.Store(&[]*encoding{})
	return p
}

// Config returns what NewPublication was given.
func (p *Publication) Config() PublicationConfig { return p.cfg }

// Active is closed when the first packet ever has come in.
func (p *Publication) Active() <-chan struct{} { return p.active }

// Codec returns the codec of the publication as its publisher numbers it, or
// false before a stream is bound.
func (p *Publication) Codec() (Codec, bool) {
	for _, l := range *p.layers.Load() {
		if t := l.track.Load(); t != nil {
			return t.codec, true
		}
	}
	return Codec{}, false
}

// Layers returns the layers with what they received, in the order in which they
// appeared; a plain track has one layer without a rid.
func (p *Publication) Layers() []wire.LayerState {
	var states []wire.LayerState
	for _, l := range *p.layers.Load() {
		states = append(states, wire.LayerState{RID: l.rid, Usage: l.usage.Total()})
	}
	return states
}

// Usage returns what the publication received, all layers together.
func (p *Publication) Usage() wire.Usage { return p.usage.Total() }

// Dropped counts packets that were not forwarded because the worker could not
// keep up.
func (p *Publication) Dropped() uint64 {
	var dropped uint64
	for _, l := range *p.layers.Load() {
		dropped += l.queue.overrun()
	}
	return dropped
}

// Attach adds a sink, which gets every packet from now on. Attaching a sink
// again does nothing.
func (p *Publication) Attach(s Sink) { p.attach(s) }

func (p *Publication) attach(s Sink) *outlet {
	p.mu.Lock()
	defer p.mu.Unlock()
	outlets := *p.outlets.Load()
	if i := indexOf(outlets, s); i >= 0 || p.ended {
		return nil
	}
	o := newOutlet(s)
	outlets = append(slices.Clip(outlets), o)
	p.outlets.Store(&outlets)
	return o
}

// Detach removes a sink. A burst that is being sent may still reach it.
func (p *Publication) Detach(s Sink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	outlets := *p.outlets.Load()
	i := indexOf(outlets, s)
	if i < 0 {
		return
	}
	outlets[i].close()
	outlets = slices.Delete(slices.Clone(outlets), i, i+1)
	p.outlets.Store(&outlets)
}

func indexOf(outlets []*outlet, s Sink) int {
	return slices.IndexFunc(outlets, func(o *outlet) bool { return o.sink == s })
}

// Close ends the publication: streams bound to it are ignored from now on, its
// cache is given back, sinks get nothing more. It does not wait for a sink that
// is blocked. A second call does nothing.
func (p *Publication) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	p.ended = true
	close(p.closed)
	for _, l := range *p.layers.Load() {
		l.close()
	}
	for _, o := range *p.outlets.Load() {
		o.close()
	}
	p.outlets.Store(&[]*outlet{})
	p.usage.End()
}

func (p *Publication) panicked(value any) {
	if p.cfg.Panicked != nil {
		p.cfg.Panicked(value)
	}
}

// Closed is closed by Close.
func (p *Publication) Closed() <-chan struct{} { return p.closed }

// bind makes a source's stream the layer with this rid, and returns the hold on
// it.
func (p *Publication) bind(source Source, rid string, t track) (feed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return feed{}, ErrClosed
	}
	if c, ok := p.Codec(); ok && !strings.EqualFold(c.MimeType, t.codec.MimeType) {
		return feed{}, ErrCodec
	}
	l := p.layer(rid)
	if l == nil {
		return feed{}, ErrLayers
	}
	p.streams++
	t.stream, t.source = p.streams, source
	t.format = packet.FormatOf(t.codec.MimeType)
	l.bind(&t)
	return feed{layer: l, stream: t.stream}, nil
}

// layer returns the layer with this rid, which it makes if there is room. The
// caller holds mu.
func (p *Publication) layer(rid string) *encoding {
	known := *p.layers.Load()
	for _, l := range known {
		if l.rid == rid {
			return l
		}
	}
	if len(known) == maxLayers {
		return nil
	}
	l := newEncoding(p, uint8(len(known)), rid)
	grown := append(slices.Clip(known), l)
	p.layers.Store(&grown)
	p.version.Add(1)
	go (&turn{layer: l}).run()
	return l
}

// at returns the layer with this index, or nil.
func (p *Publication) at(index int) *encoding {
	if all := *p.layers.Load(); index >= 0 && index < len(all) {
		return all[index]
	}
	return nil
}

// arrived notes that a layer took a burst in. Called by the layer's goroutine.
func (p *Publication) arrived(l *encoding, burst []*packet.Packet) {
	if len(burst) == 0 {
		return
	}
	at := burst[len(burst)-1].Arrival
	l.last.Store(int64(at))
	if !l.active.Load() {
		l.active.Store(true)
		p.version.Add(1)
	}
	if p.flowing.CompareAndSwap(false, true) {
		close(p.active)
	}
	for _, other := range *p.layers.Load() {
		if other != l && other.active.Load() && at-time.Duration(other.last.Load()) > silentAfter {
			other.active.Store(false)
			p.version.Add(1)
		}
	}
}

// states returns the layers as the selection sees them.
func (p *Publication) states() []layer.Layer {
	all := *p.layers.Load()
	states := make([]layer.Layer, len(all))
	for i, l := range all {
		states[i] = layer.Layer{RID: l.rid, Active: l.active.Load()}
	}
	return states
}

// report passes a sender report of a layer to every sink.
func (p *Publication) report(r SenderReport) {
	for _, o := range *p.outlets.Load() {
		o.report(r)
	}
}

// feed is a source's hold on a layer. It is void once another source has taken
// the layer.
type feed struct {
	layer  *encoding
	stream uint32
}

// push hands over a packet; the feed takes the caller's reference.
func (f feed) push(p *packet.Packet) {
	p.Stream = f.stream
	f.layer.queue.put(p)
}

// report hands over a sender report.
func (f feed) report(r SenderReport) {
	if t := f.layer.track.Load(); t == nil || t.stream != f.stream {
		return
	}
	r.Layer, r.Stream = f.layer.index, f.stream
	f.layer.clock.Store(&r)
	f.layer.publication.report(r)
}

// chase is layer.chase for this source's stream.
func (f feed) chase(at time.Duration) (time.Duration, bool) {
	if t := f.layer.track.Load(); t == nil || t.stream != f.stream {
		return 0, false
	}
	return f.layer.chase(at)
}

// end gives the layer up.
func (f feed) end() { f.layer.unbind(f.stream) }
