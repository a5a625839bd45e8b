package e2e_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"switchboard/shared/wire"
	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/cluster"
	"switchboard/tests/e2e/rtcclient"
)

// offerText returns an audio offer that no one will connect.
func offerText(t testing.TB) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = pc.Close() }()
	if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

// Any replica serves any call of a session.
func TestReplicasTakeTurnsOnOneSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		api := h.API()
		t.Cleanup(api.Close)
		sources := h.sources()
		p := h.publish(sources...)
		session, err := api.Via(0).NewSession(h.ctx)
		h.ok(err)
		// A client's calls go to the replicas in turn, so that the offer and its
		// answer, the push and the close always meet different ones.
		s, err := rtcclient.Attach(api, session, rtcclient.Options{})
		h.ok(err)
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
		h.ok(err)
		mine := h.source(rtcclient.SourceConfig{Name: "mine", Kind: rtcclient.Audio})
		h.ok(s.Push(h.ctx, mine))
		h.allFlow(sources, inbounds, 20)
		for i := range api.Replicas() {
			state, err := api.Via(i).Session(h.ctx, session)
			h.ok(err)
			if len(state.Tracks) != 3 {
				t.Errorf("replica %d knows %d tracks of the session, want 3: %+v", i, len(state.Tracks), state.Tracks)
			}
		}
		h.ok(closeTracks(h, s, false, inbounds[1].Mid()))
		h.silent(inbounds[1], sources[0], inbounds[0], 10)
	})
}

// The first two calls of a session arrive at two replicas at once, a thousand
// times: one worker owns it, and no other keeps a trace of it.
func TestFirstCallsInParallelHaveOneOwner(t *testing.T) {
	t.Parallel()
	const rounds, parallel = 1000, 8
	h := own(t, cluster.Config{})
	mic := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
	p := h.publish(mic)
	race := firstCalls{harness: h, api: h.API(), offer: offerText(t), ref: p.Published(mic)[0]}
	t.Cleanup(race.api.Close)
	slots := make(chan struct{}, parallel)
	var work sync.WaitGroup
	for range rounds {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			if err := race.run(); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	held := 0
	for _, w := range h.Workers() {
		s, err := h.Snapshot(h.ctx, w)
		h.ok(err)
		held += s.Sessions[cluster.App]
	}
	if held != 1 {
		t.Errorf("%d sessions are left, want the publisher's alone", held)
	}
}

type firstCalls struct {
	harness
	api   *apiclient.Client
	offer string
	ref   rtcclient.Ref
}

func (f firstCalls) run() error {
	session, err := f.api.NewSession(f.ctx)
	if err != nil {
		return err
	}
	requests := []apiclient.Request{
		{Description: &apiclient.Description{Type: "offer", SDP: f.offer}, Tracks: []apiclient.Track{{Location: "local", Mid: "0", TrackName: "mine"}}},
		{Tracks: []apiclient.Track{{Location: "remote", SessionID: f.ref.Session, TrackName: f.ref.Track}}},
	}
	errs := make([]error, len(requests))
	var both sync.WaitGroup
	for i, request := range requests {
		both.Go(func() { _, errs[i] = f.api.Via(i).NewTracks(f.ctx, session, request) })
	}
	both.Wait()
	succeeded := 0
	for i, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case apiclient.Status(err) != 406: // the other's exchange is under way
			return fmt.Errorf("session %s, call %d: %w", session, i, err)
		}
	}
	if succeeded == 0 {
		return fmt.Errorf("session %s: neither call succeeded: %v", session, errs)
	}
	owner, err := f.Owner(f.ctx, session)
	if err != nil {
		return err
	}
	return f.End(f.ctx, owner, session)
}

// Until workers forward to each other, a pull that would cross them says so,
// for its item alone.
func TestPullAcrossWorkers(t *testing.T) {
	t.Parallel()
	ownOfEach(t, small, func(t *testing.T, h harness) {
		near := h.source(rtcclient.SourceConfig{Name: "near", Kind: rtcclient.Audio})
		p := h.publish(near)
		far := h.source(rtcclient.SourceConfig{Name: "far", Kind: rtcclient.Audio})
		q := h.publishElsewhere(h.owner(p), far)
		inbounds, response, err := q.PullItems(h.ctx, p.Published(near)...)
		h.ok(err)
		if inbounds[0] != nil || response.Tracks[0].ErrorCode != "track_error" || response.Tracks[0].ErrorText == "" {
			t.Errorf("a pull across workers answered %+v, want track_error and a sentence", response.Tracks[0])
		}
		// A session whose first call is the pull is placed beside the publisher.
		_, pulled := h.subscribe(q, far)
		h.flows(far, pulled[0], 20)
		_, pulled = h.subscribe(p, near)
		h.flows(near, pulled[0], 20)
	})
}

// small is a cluster whose workers are soon full, because an App stays on one
// worker while there is room.
var small = cluster.Config{MaxSessions: 6}

// publishElsewhere publishes on another worker than the given one, which it
// fills up to one place for that.
func (h harness) publishElsewhere(not string, s *rtcclient.Source) *rtcclient.Client {
	h.t.Helper()
	var fillers []*rtcclient.Client
	for range 2 * small.MaxSessions {
		p := h.join(rtcclient.Options{})
		first := h.source(rtcclient.SourceConfig{Name: "first", Kind: rtcclient.Audio})
		h.ok(p.Push(h.ctx, first))
		if h.owner(p) != not {
			h.ok(p.Push(h.ctx, s))
			h.ok(p.WaitConnected(h.ctx))
			last := fillers[len(fillers)-1]
			w, err := h.Owner(h.ctx, last.Session())
			h.ok(err)
			h.ok(h.End(h.ctx, w, last.Session()))
			return p
		}
		fillers = append(fillers, p)
	}
	h.t.Fatalf("%d pushes in a row were placed on %s", 2*small.MaxSessions, not)
	return nil
}

// A session's first pull is placed on its publisher's worker, so that all the
// audience of a publication meets there.
func TestFirstPullIsPlacedWithThePublisher(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	mic := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
	p := h.publish(mic)
	want := h.owner(p)
	for range 6 {
		s, inbounds := h.subscribe(p, mic)
		h.flows(mic, inbounds[0], 5)
		if got := h.owner(s); got != want {
			t.Errorf("a subscriber is on %s, its publisher on %s", got, want)
		}
	}
	state, err := h.Holders(h.ctx, p.Session())
	h.ok(err)
	if got := state[0].Connection; got != wire.ConnectionConnected {
		t.Errorf("the publisher's connection is %q, want connected", got)
	}
}
