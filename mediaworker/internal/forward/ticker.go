package forward

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// maxPosted bounds the feedback that waits for a blocked peer.
const maxPosted = 256

// ticker calls a function at the times that it asks for, and at once when it is
// woken. It holds a goroutine only while the function runs.
type ticker struct {
	f func() time.Duration // returns the time until its next call, 0: none

	mu      sync.Mutex // guards what follows
	timer   *time.Timer
	pending []rtcp.Packet
	running bool
	again   bool // woken while running
	stopped bool
}

func (t *ticker) init(f func() time.Duration) {
	t.f = f
	t.timer = time.AfterFunc(time.Hour, t.fire)
	t.timer.Stop()
}

// post leaves p for the function to take, and wakes it.
func (t *ticker) post(p rtcp.Packet) {
	t.mu.Lock()
	if len(t.pending) < maxPosted && !t.stopped {
		t.pending = append(t.pending, p)
	}
	t.mu.Unlock()
	t.wake()
}

// posted takes what was posted.
func (t *ticker) posted() []rtcp.Packet {
	t.mu.Lock()
	defer t.mu.Unlock()
	pending := t.pending
	t.pending = nil
	return pending
}

// wake has the function called at once.
func (t *ticker) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.stopped:
	case t.running:
		t.again = true
	default:
		t.running = true
		t.timer.Stop()
		go t.call()
	}
}

// fire is what the timer calls.
func (t *ticker) fire() {
	t.mu.Lock()
	if t.running || t.stopped {
		t.mu.Unlock()
		return
	}
	t.running = true
	t.mu.Unlock()
	t.call()
}

// call calls the function until nobody has woken it meanwhile.
func (t *ticker) call() {
	for {
		wait := t.f()
		if t.done(wait) {
			return
		}
	}
}

func (t *ticker) done(wait time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again && !t.stopped {
		t.again = false
		return false
	}
	t.running = false
	if wait > 0 && !t.stopped {
		t.timer.Reset(wait)
	}
	return true
}

// stop ends the calls; one that is under way is not waited for.
func (t *ticker) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
