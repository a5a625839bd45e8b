package forward

import (
	"slices"
	"sync/atomic"
	"time"

	"switchboard/mediaworker/internal/packet"
)

// stallAfter is how long one sink may take for a burst before the others go on
// without it.
const stallAfter = 10 * time.Millisecond

// lostTurn is the position of a turn that another goroutine goes on with.
const lostTurn = -1

// turn is one goroutine's run of a layer. Normally there is one in a layer's
// life. When a sink blocks, the guard gives the rest of the burst and the layer
// to a new turn; the goroutine that is stuck stays with its sink.
type turn struct {
	layer *encoding
	guard *time.Timer // runs watch while a burst is being sent
	// position is odd while outlets[next] is busy and counts up with every
	// step; lostTurn when the turn is over.
	position atomic.Int64
	seen     atomic.Int64  // position when the guard last looked
	taken    chan struct{} // closed when a lost turn's burst has its new owner

	// Written by the turn's goroutine while position is even; read by the guard
	// after it took the turn.
	burst   []*packet.Packet
	outlets []*outlet
	next    int
	flushBy time.Duration
}

// run drains the layer until it is closed or the turn is lost. It begins with
// what a lost turn left over.
func (t *turn) run() {
	t.taken = make(chan struct{})
	t.guard = newGuard(t)
	defer t.guard.Stop()
	if !t.send() {
		return
	}
	l := t.layer
	var lost []uint16
	for {
		packets, join, ok := l.queue.take(t.burst)
		if !ok {
			return
		}
		t.burst, t.next, t.flushBy = packets, 0, now()+flushWithin
		if join != nil {
			t.burst, t.outlets = append(t.burst, l.replay(now())...), []*outlet{join}
			if len(t.burst) == 0 {
				l.requestKeyframe(now())
			}
		} else {
			t.burst, lost = l.ingest(packets, lost[:0])
			l.repair(lost)
			l.publication.arrived(l, t.burst)
			t.outlets = *l.publication.outlets.Load()
		}
		if !t.send() {
			return
		}
	}
}

// newGuard returns a timer that is not running.
func newGuard(t *turn) *time.Timer {
	guard := time.AfterFunc(time.Hour, t.watch)
	guard.Stop()
	return guard
}

// send delivers the burst to one outlet after the other, and releases it. It
// reports false if the turn was lost on the way.
func (t *turn) send() bool {
	if len(t.burst) > 0 && t.next < len(t.outlets) {
		t.guard.Reset(stallAfter)
		for t.next < len(t.outlets) {
			at := t.position.Add(1)
			t.outlets[t.next].send(t.burst, t.flushBy)
			if !t.position.CompareAndSwap(at, at+1) {
				t.stuck()
				return false
			}
			t.next++
		}
		t.guard.Stop()
	}
	release(t.burst)
	t.burst = t.burst[:0]
	return true
}

// watch looks at a burst that takes long, and takes over if it is one sink that
// does: it then becomes the layer's goroutine.
func (t *turn) watch() {
	at := t.position.Load()
	switch {
	case at == lostTurn:
		return
	case at != t.seen.Swap(at):
		t.guard.Reset(stallAfter)
		return
	case at%2 == 0: // nothing is being sent
		return
	case !t.position.CompareAndSwap(at, lostTurn):
		t.guard.Reset(stallAfter)
		return
	}
	for _, p := range t.burst {
		p.Retain()
	}
	t.outlets[t.next].detach()
	successor := &turn{
		layer: t.layer, flushBy: t.flushBy,
		burst: slices.Clone(t.burst), outlets: t.outlets, next: t.next + 1,
	}
	close(t.taken)
	successor.run()
}

// stuck goes on for a goroutine that was blocked and has lost its turn: it
// serves the outlet that blocked it.
func (t *turn) stuck() {
	<-t.taken
	release(t.burst)
	t.outlets[t.next].serve()
}
