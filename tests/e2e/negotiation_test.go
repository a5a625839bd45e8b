package e2e_test

import (
	"errors"
	"testing"
	"time"

	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/rtcclient"
)

// The pull comes while the publisher's transport is not up, and waits for it.
func TestPullBeforeThePublisherIsConnected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.join(rtcclient.Options{})
		p.Drop(func([]byte) bool { return true })
		h.ok(p.Push(h.ctx, sources...))
		s := h.join(rtcclient.Options{})
		type pulled struct {
			inbounds []*rtcclient.Inbound
			err      error
		}
		done := make(chan pulled, 1)
		go func() {
			inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
			done <- pulled{inbounds, err}
		}()
		select {
		case got := <-done:
			t.Fatalf("the pull did not wait for the publisher: %v", got.err)
		case <-time.After(300 * time.Millisecond):
		}
		p.Drop(nil)
		got := <-done
		h.ok(got.err)
		h.allFlow(sources, got.inbounds, 30)
	})
}

// A publication that exists and never sends fails by itself, not the call.
func TestPullOfASilentPublication(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	silent := h.source(rtcclient.SourceConfig{Name: "silent", Kind: rtcclient.Audio})
	silent.Pause()
	loud := h.source(rtcclient.SourceConfig{Name: "loud", Kind: rtcclient.Audio})
	p := h.publish(silent, loud)
	s := h.join(rtcclient.Options{})
	inbounds, response, err := s.PullItems(h.ctx, p.Published(silent, loud)...)
	h.ok(err)
	if got := response.Tracks[0].ErrorCode; got != "empty_track_error" {
		t.Errorf("errorCode of the silent track is %q, want empty_track_error", got)
	}
	if inbounds[1] == nil {
		t.Fatalf("the other track failed too: %+v", response.Tracks[1])
	}
	h.flows(loud, inbounds[1], 20)
	silent.Resume()
	again, err := s.Pull(h.ctx, p.Published(silent)...)
	h.ok(err)
	h.flows(silent, again[0], 20)
}

// A failed pull answers 200 with the item's error and leaves nothing behind.
func TestPullOfAnUnknownSession(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		s := h.join(rtcclient.Options{})
		for name, ref := range map[string]rtcclient.Ref{
			"unknown id":       {Session: "0123456789abcdef0123456789abcdef", Track: "camera"},
			"not an id at all": {Session: "nobody", Track: "camera"},
			"unconnected":      {Session: h.join(rtcclient.Options{}).Session(), Track: "camera"},
		} {
			_, response, err := s.PullItems(h.ctx, ref)
			h.ok(err)
			if got := response.Tracks[0].ErrorCode; got != "not_found_track_error" {
				t.Errorf("%s: errorCode %q, want not_found_track_error", name, got)
			}
			if response.Renegotiate || response.Description != nil {
				t.Errorf("%s: nothing was pulled, and yet the answer holds SDP: %+v", name, response)
			}
		}
		state, err := s.API().Session(h.ctx, s.Session())
		h.ok(err)
		if len(state.Tracks) != 0 {
			t.Errorf("failed pulls left %+v", state.Tracks)
		}
		sources := h.sources()
		p := h.publish(sources...)
		inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
		h.ok(err)
		for i, want := range []string{"0", "1"} {
			if got := inbounds[i].Mid(); got != want {
				t.Errorf("the first good pull has mid %q, want %q", got, want)
			}
		}
		h.allFlow(sources, inbounds, 20)
	})
}

// One missing track does not spoil the others of its call.
func TestPullWithOneItemMissing(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.publish(sources...)
	s := h.join(rtcclient.Options{})
	refs := append(p.Published(sources...), rtcclient.Ref{Session: p.Session(), Track: "nothing"})
	inbounds, response, err := s.PullItems(h.ctx, refs...)
	h.ok(err)
	if got := response.Tracks[2].ErrorCode; got != "not_found_track_error" {
		t.Errorf("errorCode of the missing track is %q, want not_found_track_error", got)
	}
	h.allFlow(sources, inbounds[:2], 20)
}

func TestPullWithTheClientsOffer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.publish(sources...)
		s := h.join(rtcclient.Options{})
		inbounds, err := s.PullWithOffer(h.ctx, []string{rtcclient.Audio, rtcclient.Video}, p.Published(sources...)...)
		h.ok(err)
		h.allFlow(sources, inbounds, 30)
	})
}

func TestAutoDiscover(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.join(rtcclient.Options{})
		names, err := p.PushDiscovered(h.ctx, sources...)
		h.ok(err)
		s := h.join(rtcclient.Options{})
		var refs []rtcclient.Ref
		for _, name := range names {
			refs = append(refs, rtcclient.Ref{Session: p.Session(), Track: name})
		}
		inbounds, err := s.Pull(h.ctx, refs...)
		h.ok(err)
		h.allFlow(sources, inbounds, 30)
	})
}

func TestPushWhereTheServerOffers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.join(rtcclient.Options{})
		for _, source := range sources {
			_, err := p.PushAsked(h.ctx, source, false)
			h.ok(err)
		}
		_, inbounds := h.subscribe(p, sources...)
		h.allFlow(sources, inbounds, 30)
	})
}

// A bidirectional section takes what a later pull names, without SDP, and can be
// given another source.
func TestPullIntoABidirectionalSection(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		first := h.source(rtcclient.SourceConfig{Name: "first", Kind: rtcclient.Audio})
		second := h.source(rtcclient.SourceConfig{Name: "second", Kind: rtcclient.Audio})
		voice := h.source(rtcclient.SourceConfig{Name: "voice", Kind: rtcclient.Audio})
		people := h.publish(first, second)
		agent := h.join(rtcclient.Options{})
		_, err := agent.PushAsked(h.ctx, voice, true)
		h.ok(err)
		heard, err := people.Pull(h.ctx, agent.Published(voice)...)
		h.ok(err)
		h.flows(voice, heard[0], 20)

		in, err := agent.PullInto(h.ctx, "voice", people.Published(first)[0])
		h.ok(err)
		h.flows(first, in, 20)
		in, err = agent.PullInto(h.ctx, "voice", people.Published(second)[0])
		h.ok(err)
		h.flows(second, in, 20)
		h.flows(voice, heard[0], 20)
	})
}

// One session pushes and pulls in turn on one connection.
func TestOneSessionPushesAndPulls(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		theirs, ours := h.sources(), h.sources()
		p := h.publish(theirs...)
		s := h.join(rtcclient.Options{})
		pulled, err := s.Pull(h.ctx, p.Published(theirs[0])...)
		h.ok(err)
		h.ok(s.Push(h.ctx, ours...))
		more, err := s.Pull(h.ctx, p.Published(theirs[1])...)
		h.ok(err)
		back, err := p.Pull(h.ctx, s.Published(ours...)...)
		h.ok(err)
		h.allFlow(theirs, append(pulled, more...), 30)
		h.allFlow(ours, back, 30)
	})
}

func TestCloseOfAPull(t *testing.T) {
	t.Parallel()
	for name, negotiated := range map[string]bool{"forced": false, "with an offer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, h harness) {
				sources := h.sources()
				p := h.publish(sources...)
				s, inbounds := h.subscribe(p, sources...)
				h.allFlow(sources, inbounds, 20)
				h.ok(closeTracks(h, s, negotiated, inbounds[1].Mid()))
				h.silent(inbounds[1], sources[0], inbounds[0], 20)
				again, err := s.Pull(h.ctx, p.Published(sources[1])...)
				h.ok(err)
				h.arrives(sources[1], again[0], 30)
				h.flows(sources[0], inbounds[0], 20)
			})
		})
	}
}

func TestCloseOfAPushAndRepublish(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.publish(sources...)
		s, inbounds := h.subscribe(p, sources...)
		h.allFlow(sources, inbounds, 20)

		h.ok(closeTracks(h, p, false, p.MidOf(sources[1])))
		h.silent(inbounds[1], sources[0], inbounds[0], 20)
		_, response, err := s.PullItems(h.ctx, p.Published(sources[1])...)
		h.ok(err)
		if got := response.Tracks[0].ErrorCode; got != "not_found_track_error" {
			t.Errorf("pull of a closed track: errorCode %q, want not_found_track_error", got)
		}

		h.ok(p.PushAgain(h.ctx, sources[1])) // the same name on the same mid
		again, err := s.Pull(h.ctx, p.Published(sources[1])...)
		h.ok(err)
		h.arrives(sources[1], again[0], 30)

		h.ok(closeTracks(h, p, true, p.MidOf(sources[1])))
		other := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video, PacketsPerFrame: 2})
		h.ok(p.Push(h.ctx, other)) // the same name from another source
		again, err = s.Pull(h.ctx, p.Published(other)...)
		h.ok(err)
		h.arrives(other, again[0], 30)
		h.flows(sources[0], inbounds[0], 20)
	})
}

// A client that did not hear the answer to its push sends it once more.
func TestPushIsIdempotent(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.publish(sources...)
	_, inbounds := h.subscribe(p, sources...)
	h.allFlow(sources, inbounds, 20)
	h.ok(p.PushAgain(h.ctx, sources[1]))
	h.allFlow(sources, inbounds, 20)
}

func TestTheSameNameInTwoSessions(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	one := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
	two := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio})
	p, q := h.publish(one), h.publish(two)
	s := h.join(rtcclient.Options{})
	inbounds, err := s.Pull(h.ctx, append(p.Published(one), q.Published(two)...)...)
	h.ok(err)
	h.flows(one, inbounds[0], 20)
	h.flows(two, inbounds[1], 20)
}

func closeTracks(h harness, c *rtcclient.Client, negotiated bool, mid string) error {
	closing := c.CloseForced
	if negotiated {
		closing = c.CloseNegotiated
	}
	response, err := closing(h.ctx, mid)
	if err != nil {
		return err
	}
	if len(response.Tracks) != 1 || response.Tracks[0].Mid != mid || response.Tracks[0].ErrorCode != "" {
		return errors.New("the close answered something else than its one mid")
	}
	return nil
}

// While the client owes an answer, an offer of its own is refused, and the
// exchange under way is not disturbed.
func TestOfferWhileAnAnswerIsOwed(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.publish(sources...)
	api := h.API()
	t.Cleanup(api.Close)
	session, err := api.NewSession(h.ctx)
	h.ok(err)
	pull := apiclient.Request{Tracks: []apiclient.Track{{Location: "remote", SessionID: p.Session(), TrackName: "mic"}}}
	offered, err := api.NewTracks(h.ctx, session, pull)
	h.ok(err)
	if !offered.Renegotiate {
		t.Fatalf("no offer: %+v", offered)
	}
	push := apiclient.Request{
		Description: &apiclient.Description{Type: "offer", SDP: offerText(t)},
		Tracks:      []apiclient.Track{{Location: "local", Mid: "0", TrackName: "mine"}},
	}
	response, err := api.NewTracks(h.ctx, session, push)
	if apiclient.Status(err) != 406 || apiclient.Code(err) != "invalid_session_description" {
		t.Errorf("push while an answer is owed: %v, want 406 invalid_session_description", err)
	}
	if response != nil && response.ErrorSub != "invalid_modification_have_local_offer" {
		t.Errorf("errorSubcode %q, want invalid_modification_have_local_offer", response.ErrorSub)
	}
}
