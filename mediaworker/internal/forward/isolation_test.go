package forward

import (
	"errors"
	"sync"
	"testing"
	"time"

	"switchboard/shared/wire"
)

func TestBlockedWriterHurtsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Audio)
		cam := newCamera(t, publisher.Leg, 7, 111, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus})
		_, first := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		gate := make(chan struct{})
		slowPeer := newPeer(t)
		slow, stuck := subscribe(t, slowPeer, p, SubscriptionConfig{})
		stuck.write = func() { <-gate }
		_, last := subscribe(t, newPeer(t), p, SubscriptionConfig{})

		const frames = 400
		for range frames {
			cam.frame(false)
			pass(20 * time.Millisecond)
		}
		for name, v := range map[string]*viewer{"before": first, "after": last} {
			got := v.take()
			if len(got) != frames {
				t.Errorf("viewer %s the blocked one got %d packets, want %d", name, len(got), frames)
			}
			continuous(t, got)
		}
		if got := len(stuck.take()); got != 0 {
			t.Errorf("blocked viewer got %d packets", got)
		}
		if got := slow.State().Dropped; got == 0 || got > frames-maxDetached {
			t.Errorf("blocked viewer lost %d packets", got)
		}

		close(gate)
		settle()
		if got := stuck.take(); len(got) == 0 {
			t.Error("nothing was sent when the writer came free")
		}
		for range 20 { // it keeps up: served with the others again
			cam.frame(false)
			pass(time.Second)
		}
		if got := stuck.take(); len(got) != 20 {
			t.Errorf("viewer got %d packets after it came free, want 20", len(got))
		}
		pass(2 * reattachAfter)
		if o := slow.source.Load().outlet; o.detached.Load() {
			t.Error("the outlet is still detached")
		}
	})
}

func TestClosingDoesNotWaitForABlockedWriter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Audio), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 111, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus})
		gate := make(chan struct{})
		s, v := subscribe(t, leg, p, SubscriptionConfig{})
		v.write = func() { <-gate }
		cam.frame(false)
		cam.frame(false)
		pass(time.Second)
		_ = s.State()
		s.SetWish(nil)
		s.Close()
		p.Close()
		leg.Close()
		close(gate)
		settle()
		if got := len(v.take()); got > 1 {
			t.Errorf("%d packets were written after Close", got-1)
		}
	})
}

func TestPanickingWriterHurtsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Audio)
		cam := newCamera(t, publisher.Leg, 7, 111, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus})
		bad, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		v.write = func() { panic("writer is broken") }
		_, good := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		for range 10 {
			cam.frame(false)
			settle()
		}
		if got := len(good.take()); got != 10 {
			t.Errorf("got %d packets, want 10", got)
		}
		if got := bad.State().Dropped; got != 10 {
			t.Errorf("%d packets counted as lost, want 10", got)
		}
	})
}

// Everything at once, for the race detector: packets, joins, leaves, wishes,
// swaps of the source, and the end of it all during traffic.
func TestChurn(t *testing.T) { bubble(t, churn) }

func churn(t *testing.T) {
	p, other := newPublication(t, wire.Video), newPublication(t, wire.Video)
	publishers := []*peer{newPeer(t), newPeer(t)}
	var wg sync.WaitGroup
	for i, publisher := range publishers {
		ssrc := uint32(i + 1)
		cam := newCamera(t, publisher.Leg, ssrc, 96, 65000)
		wg.Go(func() {
			for n := range 2000 {
				if n%100 == 0 {
					if err := publisher.Bind([]*Publication{p, other}[n/100%2], Stream{SSRC: ssrc, Codec: vp8}); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
				cam.frame(n%10 == 0)
			}
		})
	}
	for range 4 {
		wg.Go(func() {
			leg := newPeer(t)
			for range 50 {
				s, err := leg.Subscribe(p, SubscriptionConfig{SSRC: 1, PayloadType: 120, Writer: &viewer{}})
				if err != nil {
					t.Error(err)
					return
				}
				leg.Connected()
				s.SetWish(&wire.Simulcast{PreferredRID: "x"})
				s.Replace(other)
				leg.keyframeFor(1)
				s.resend([]uint16{1, 2, 3})
				_ = s.State()
				s.Close()
			}
			_, _ = leg.Subscribe(p, SubscriptionConfig{SSRC: 2, PayloadType: 120, Writer: &viewer{}})
			leg.Close()
		})
	}
	wg.Go(func() {
		for range 200 {
			_, _ = p.Usage(), p.Layers()
		}
		publishers[0].Close()
		p.Close()
	})
	wg.Wait()
}
