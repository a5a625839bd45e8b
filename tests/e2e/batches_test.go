package e2e_test

import (
	"fmt"
	"testing"

	"switchboard/tests/e2e/rtcclient"
)

// Every item of a call stands for itself, also one that names a track again.
func TestOneTrackTwiceInACall(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.publish(sources...)
	s := h.join(rtcclient.Options{})
	camera := p.Published(sources[1])[0]
	inbounds, err := s.Pull(h.ctx, camera, camera)
	h.ok(err)
	if inbounds[0].Mid() == inbounds[1].Mid() {
		t.Errorf("both items got the section %q", inbounds[0].Mid())
	}
	h.flows(sources[1], inbounds[0], 30)
	h.flows(sources[1], inbounds[1], 30)
}

func TestPullOfOnesOwnTracks(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.publish(sources...)
	inbounds, err := p.Pull(h.ctx, p.Published(sources...)...)
	h.ok(err)
	h.allFlow(sources, inbounds, 30)
}

func TestSixtyFourTracksInACall(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	var sources []*rtcclient.Source
	for i := range 64 {
		sources = append(sources, h.source(rtcclient.SourceConfig{Name: fmt.Sprintf("mic-%d", i), Kind: rtcclient.Audio}))
	}
	p := h.publish(sources...)
	_, inbounds := h.subscribe(p, sources...)
	for i, in := range inbounds {
		if want := fmt.Sprint(i); in.Mid() != want {
			t.Errorf("item %d has mid %q, want %q", i, in.Mid(), want)
		}
	}
	h.allFlow(sources, inbounds, 10)
}

// A client may stop one section and name several: all of them are closed, and
// one that does not exist fails alone.
func TestCloseOfManyWithOneStopped(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		var sources []*rtcclient.Source
		for i := range 4 {
			sources = append(sources, h.source(rtcclient.SourceConfig{Name: fmt.Sprintf("mic-%d", i), Kind: rtcclient.Audio}))
		}
		p := h.publish(sources...)
		s, inbounds := h.subscribe(p, sources...)
		h.allFlow(sources, inbounds, 20)
		mids := []string{inbounds[1].Mid(), inbounds[2].Mid(), inbounds[3].Mid(), "nothing"}
		response, err := s.CloseStopping(h.ctx, mids[:1], mids...)
		h.ok(err)
		for i, item := range response.Tracks {
			want := ""
			if i == 3 {
				want = "close_track_error"
			}
			if item.Mid != mids[i] || item.ErrorCode != want {
				t.Errorf("item %d is %+v, want mid %q and errorCode %q", i, item, mids[i], want)
			}
		}
		for _, in := range inbounds[1:] {
			h.silent(in, sources[0], inbounds[0], 20)
		}
		// What was not stopped can be used again.
		again, err := s.Pull(h.ctx, p.Published(sources[1:]...)...)
		h.ok(err)
		for i, source := range sources[1:] {
			h.arrives(source, again[i], 20)
		}
		h.flows(sources[0], inbounds[0], 20)
	})
}
