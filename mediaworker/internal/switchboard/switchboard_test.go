package switchboard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const here = ids.WorkerID("here-1")

var (
	local = &wire.Origin{Worker: here}
	key   = ids.TrackKey{Session: "s", Track: "cam"}
)

// sent is a publication that has had a packet.
func sent(t *testing.T, leg *forward.Leg, ssrc uint32) *forward.Publication {
	t.Helper()
	p := silent(t)
	in := leg.Buffer(ssrc, false)
	if err := leg.Bind(p, forward.Stream{SSRC: ssrc, Codec: forward.Codec{MimeType: "audio/opus", ClockRate: 48000, PayloadType: 111}}); err != nil {
		t.Fatal(err)
	}
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, PayloadType: 111}, Payload: []byte{1}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write(raw); err != nil {
		t.Fatal(err)
	}
	return p
}

func silent(t *testing.T) *forward.Publication {
	p := forward.NewPublication(forward.PublicationConfig{})
	t.Cleanup(p.Close)
	return p
}

func TestAwait(t *testing.T) {
	const limit = 4 * time.Second
	for name, c := range map[string]struct {
		app    ids.AppID
		origin *wire.Origin
		before func(*testing.T, *Board, *forward.Leg) // what is so when the pull comes
		after  func(*testing.T, *Board, *forward.Leg) // and what happens a second later
		want   *fault.Kind                            // nil: found
		took   time.Duration
	}{
		"sent before":     {"a", local, func(t *testing.T, b *Board, l *forward.Leg) { b.Publish("cam", sent(t, l, 1)) }, nil, nil, 0},
		"sends later":     {"a", local, nil, func(t *testing.T, b *Board, l *forward.Leg) { b.Publish("cam", sent(t, l, 1)) }, nil, time.Second},
		"never sends":     {"a", local, func(t *testing.T, b *Board, _ *forward.Leg) { b.SetConnected(true); b.Publish("cam", silent(t)) }, nil, fault.EmptyTrack, limit},
		"not connected":   {"a", local, func(t *testing.T, b *Board, _ *forward.Leg) { b.Publish("cam", silent(t)) }, nil, fault.TrackNotFound, limit},
		"never published": {"a", local, nil, nil, fault.TrackNotFound, limit},
		"no such name":    {"a", local, func(_ *testing.T, b *Board, _ *forward.Leg) { b.SetConnected(true) }, nil, fault.TrackNotFound, time.Second},
		"pushed just in time": {"a", local, func(t *testing.T, b *Board, l *forward.Leg) {
			b.SetConnected(true)
			go func() { time.Sleep(900 * time.Millisecond); b.Publish("cam", silent(t)) }()
		}, func(t *testing.T, b *Board, l *forward.Leg) { b.Publish("cam", sent(t, l, 1)) }, nil, time.Second},
		"connects without it": {"a", local, nil, func(_ *testing.T, b *Board, _ *forward.Leg) { b.SetConnected(true) }, fault.TrackNotFound, 2 * time.Second},
		"others come and go": {"a", local, func(t *testing.T, b *Board, _ *forward.Leg) {
			b.SetConnected(true)
			go func() { time.Sleep(500 * time.Millisecond); b.Publish("other", silent(t)) }()
		}, nil, fault.TrackNotFound, time.Second},
		"publisher leaves": {"a", local, nil, func(_ *testing.T, b *Board, _ *forward.Leg) { b.Leave() }, fault.TrackNotFound, time.Second},
		"withdrawn": {"a", local, func(t *testing.T, b *Board, l *forward.Leg) {
			p := sent(t, l, 1)
			b.Publish("cam", p)
			b.Withdraw("cam", silent(t)) // of another publication: nothing happens
			b.Withdraw("cam", p)
		}, nil, fault.TrackNotFound, limit},
		"another App's":    {"b", local, func(t *testing.T, b *Board, l *forward.Leg) { b.Publish("cam", sent(t, l, 1)) }, nil, fault.TrackNotFound, 0},
		"unknown session":  {"a", nil, func(t *testing.T, b *Board, l *forward.Leg) { b.Publish("cam", sent(t, l, 1)) }, nil, fault.TrackNotFound, 0},
		"another worker's": {"a", &wire.Origin{Worker: "there-1"}, nil, nil, fault.RelayUnavailable, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Worker: here})
			leg := forward.NewLeg(forward.LegConfig{})
			defer leg.Close()
			board := s.Join("a", key.Session)
			if c.before != nil {
				c.before(t, board, leg)
				synctest.Wait()
			}
			if c.after != nil {
				go func() { time.Sleep(time.Second); c.after(t, board, leg) }()
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			p, err := s.Await(ctx, c.app, key, c.origin)
			if took := time.Since(start); took != c.took {
				t.Errorf("%s: took %v, want %v", name, took, c.took)
			}
			switch {
			case c.want == nil && (err != nil || p == nil):
				t.Errorf("%s: %v", name, err)
			case c.want != nil && !c.want.Is(err):
				t.Errorf("%s: %v, want %s", name, err, c.want.Name)
			}
		})
	}
}

type relay struct{ opened ids.WorkerID }

func (r *relay) Open(_ context.Context, _ ids.AppID, _ ids.TrackKey, o wire.Origin) (*forward.Publication, error) {
	r.opened = o.Worker
	return nil, errors.New("refused")
}

func TestRelay(t *testing.T) {
	r := &relay{}
	s := New(Config{Worker: here, Relay: r})
	if _, err := s.Await(t.Context(), "a", key, &wire.Origin{Worker: "there-1"}); err == nil || r.opened != "there-1" {
		t.Errorf("relay opened %q: %v", r.opened, err)
	}
}

func TestTracks(t *testing.T) {
	s := New(Config{Worker: here})
	one, two := s.Join("a", "one"), s.Join("a", "two")
	p := silent(t)
	one.Publish("x", p)
	one.Publish("x", p)
	two.Publish("x", p)
	if n := s.Tracks(); n != 2 {
		t.Errorf("%d tracks, want 2", n)
	}
	again := s.Join("a", "one") // the session came back before its former self left
	one.Leave()
	two.Leave()
	again.Publish("y", p)
	if n := s.Tracks(); n != 1 {
		t.Errorf("%d tracks, want 1", n)
	}
}
