package forward

import (
	"sync"
	"sync/atomic"
	"time"

	"switchboard/mediaworker/internal/packet"
)

const (
	// maxDetached bounds the packets that wait for a detached sink.
	maxDetached = 256
	// reattachAfter is how long a detached sink has to keep up before it is
	// served with the others again.
	reattachAfter = 5 * time.Second
)

// outlet is a sink's place in a publication. Normally the layers' goroutines
// call the sink themselves. A sink that has blocked one of them is detached:
// its packets are queued, and dropped when it does not keep up, and the
// goroutine that it blocked serves it alone.
type outlet struct {
	sink     Sink
	detached atomic.Bool
	dropped  func(packets int) // tells the sink what it lost; may be nil

	mu      sync.Mutex // guards what follows
	queue   []*packet.Packet
	wake    chan struct{} // holds a token when there may be something to serve
	serving bool
	closed  bool
}

func newOutlet(s Sink) *outlet {
	o := &outlet{sink: s, wake: make(chan struct{}, 1)}
	if d, ok := s.(interface{ lost(packets int) }); ok {
		o.dropped = d.lost
	}
	return o
}

// send delivers a burst to the sink, or queues it if the sink is detached.
func (o *outlet) send(burst []*packet.Packet, flushBy time.Duration) {
	if o.detached.Load() && o.enqueue(burst) {
		return
	}
	o.call(burst, flushBy)
}

// call calls the sink. A sink that panics loses the burst.
func (o *outlet) call(burst []*packet.Packet, flushBy time.Duration) {
	defer func() {
		if recover() != nil {
			o.drop(len(burst))
		}
	}()
	o.sink.Send(burst, flushBy)
}

// report passes a sender report on. A sink that panics loses it, which counts as
// one packet, so that it shows.
func (o *outlet) report(r SenderReport) {
	defer func() {
		if recover() != nil {
			o.drop(1)
		}
	}()
	o.sink.Report(r)
}

func (o *outlet) drop(packets int) {
	if o.dropped != nil {
		o.dropped(packets)
	}
}

// detach lets the other sinks go on without this one.
func (o *outlet) detach() { o.detached.Store(true) }

// enqueue reports false if the outlet has been reattached meanwhile.
func (o *outlet) enqueue(burst []*packet.Packet) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !o.detached.Load():
		return false
	case o.closed:
		return true
	case len(o.queue)+len(burst) > maxDetached:
		o.drop(len(burst))
		return true
	}
	for _, p := range burst {
		p.Retain()
	}
	o.queue = append(o.queue, burst...)
	o.signal()
	return true
}

// serve delivers what is queued until the sink has kept up for a while or is
// removed. Only one goroutine serves; to another it returns at once.
func (o *outlet) serve() {
	o.mu.Lock()
	if o.serving || o.closed {
		o.mu.Unlock()
		return
	}
	o.serving = true
	o.mu.Unlock()

	calm := time.NewTimer(reattachAfter)
	defer calm.Stop()
	var spare []*packet.Packet
	for {
		burst, done := o.next(spare, false)
		if len(burst) > 0 {
			calm.Reset(reattachAfter)
			o.callByLayer(burst)
			release(burst)
			spare = burst
			continue
		}
		if done {
			return
		}
		spare = burst
		select {
		case <-o.wake:
		case <-calm.C:
			if _, done := o.next(nil, true); done {
				return
			}
			calm.Reset(reattachAfter)
		}
	}
}

// next takes what is queued. It reports true, and ends the service, if the
// outlet is closed, or if reattach is asked for and nothing is queued.
func (o *outlet) next(spare []*packet.Packet, reattach bool) ([]*packet.Packet, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || reattach && len(o.queue) == 0 {
		o.serving = false
		o.detached.Store(false)
		return nil, true
	}
	if reattach {
		return nil, false
	}
	burst := o.queue
	o.queue = spare[:0]
	return burst, false
}

// callByLayer calls the sink once for each run of packets of one layer.
func (o *outlet) callByLayer(burst []*packet.Packet) {
	flushBy := now() + flushWithin
	for len(burst) > 0 {
		n := 1
		for n < len(burst) && burst[n].Layer == burst[0].Layer {
			n++
		}
		o.call(burst[:n], flushBy)
		burst = burst[n:]
	}
}

// close ends the outlet; what is queued is released.
func (o *outlet) close() {
	o.mu.Lock()
	waiting := o.queue
	o.queue, o.closed = nil, true
	o.signal()
	o.mu.Unlock()
	release(waiting)
}

func (o *outlet) signal() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
