package forward

import (
	"slices"
	"sync"
	"testing"

	"switchboard/shared/wire"
)

// transport is a Corker that notes what happens around the writes.
type transport struct {
	mu     sync.Mutex
	events []string
	lost   int // said by the next Uncork
}

func (c *transport) note(event string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, event)
}

func (c *transport) Cork() { c.note("cork") }

func (c *transport) Uncork() int {
	c.note("uncork")
	lost := c.lost
	c.lost = 0
	return lost
}

func (c *transport) want(t *testing.T, events ...string) {
	t.Helper()
	settle()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.events, events) {
		t.Errorf("got %q, want %q", c.events, events)
	}
	c.events = nil
}

// A burst is what piles up while the layer's goroutine is busy.
func TestBurstsAreCorked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg, c := newPeer(t), newPublication(t, wire.Audio), newPeer(t), &transport{}
		cam := newCamera(t, publisher.Leg, 7, 111, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus})
		leg.cfg.Corker = c
		s, v := subscribe(t, leg, p, SubscriptionConfig{})
		burst := func(then func()) {
			t.Helper()
			hold := make(chan struct{})
			v.write = func() { c.note("write"); <-hold }
			cam.frame(false) // alone: not corked
			c.want(t, "write")
			for range 3 {
				cam.frame(false)
			}
			v.write = func() { c.note("write"); then() }
			close(hold)
		}
		burst(func() {})
		c.want(t, "cork", "write", "write", "write", "uncork")

		sent := v.take()
		s.resend([]uint16{sent[1].SequenceNumber})
		c.want(t, "write")
		c.lost = 2
		s.resend([]uint16{sent[1].SequenceNumber, sent[2].SequenceNumber})
		c.want(t, "cork", "write", "write", "uncork")
		if got := s.State().Dropped; got != 2 {
			t.Errorf("%d packets counted as lost, want 2", got)
		}

		// The burst ends however its writing does.
		burst(func() { panic("writer is broken") })
		c.want(t, "cork", "write", "uncork")
		burst(s.Close)
		c.want(t, "cork", "write", "uncork")
	})
}
