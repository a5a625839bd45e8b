package e2e_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"switchboard/tests/e2e/rtcclient"
)

func TestPushAndPullAudioAndVideo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.publish(sources...)
		_, inbounds := h.subscribe(p, sources...)
		h.allFlow(sources, inbounds, 50)
		if inbounds[1].Counts().Keyframes == 0 {
			t.Error("the subscriber got video without a keyframe")
		}
	})
}

// Either side may begin the DTLS handshake, on both ways of negotiating.
func TestBothDTLSRoles(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		publisher, subscriber rtcclient.Options
		publisherActive       bool
		subscriberActive      bool
	}{
		"clients active": {
			publisher:       rtcclient.Options{OfferSetup: "active"},
			subscriber:      rtcclient.Options{AnsweringRole: webrtc.DTLSRoleClient},
			publisherActive: true, subscriberActive: true,
		},
		"clients passive": {
			publisher:  rtcclient.Options{OfferSetup: "passive"},
			subscriber: rtcclient.Options{AnsweringRole: webrtc.DTLSRoleServer},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, h harness) {
				sources := h.sources()
				p := h.join(o.publisher)
				h.ok(p.Push(h.ctx, sources...))
				s := h.join(o.subscriber)
				inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
				h.ok(err)
				h.allFlow(sources, inbounds, 30)
				if got := p.DTLSActive(); got != o.publisherActive {
					t.Errorf("publisher active: %v, want %v", got, o.publisherActive)
				}
				if got := s.DTLSActive(); got != o.subscriberActive {
					t.Errorf("subscriber active: %v, want %v", got, o.subscriberActive)
				}
				// The second exchange keeps the roles of the first.
				more := h.source(rtcclient.SourceConfig{Name: "screen", Kind: rtcclient.Video, PacketsPerFrame: 2})
				h.ok(p.Push(h.ctx, more))
				inbounds, err = s.Pull(h.ctx, p.Published(more)...)
				h.ok(err)
				h.flows(more, inbounds[0], 30)
			})
		})
	}
}

// The publisher's sequence numbers begin just below 65,536 and pass it while one
// subscriber listens and before another joins.
func TestSequenceNumbersWrap(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := []*rtcclient.Source{
			h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio, StartSequence: 65500, HoldAfter: 4}),
			h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video, StartSequence: 65500, HoldAfter: 4, PacketsPerFrame: 2}),
		}
		p := h.publish(sources...)
		for _, s := range sources {
			h.ok(s.WaitSent(h.ctx, 3))
		}
		s, early := h.subscribe(p, sources...)
		h.ok(s.WaitConnected(h.ctx))
		for _, source := range sources {
			source.Resume()
		}
		for i, source := range sources {
			const wrap = 36 // packets from 65,500 to 65,535
			h.ok(early[i].WaitSource(h.ctx, source, 1))
			first, _ := early[i].First(source)
			if first >= wrap {
				t.Fatalf("%s: the first packet is number %d, after the wrap at %d", source.Name(), first, wrap)
			}
			h.ok(early[i].WaitAll(h.ctx, source, first, 2*wrap))
		}
		_, late := h.subscribe(p, sources...)
		h.allFlow(sources, early, 40)
		h.allFlow(sources, late, 40)
	})
}

// Each of fifty subscribers gets each packet, once.
func TestFiftySubscribers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		const audience, parallel, count = 50, 6, 100
		sources := []*rtcclient.Source{
			h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio}),
			h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video, PacketsPerFrame: 2, Size: 600}),
		}
		p := h.publish(sources...)
		pulled := make([][]*rtcclient.Inbound, audience)
		slots := make(chan struct{}, parallel)
		var work sync.WaitGroup
		for i := range audience {
			s := h.join(rtcclient.Options{})
			slots <- struct{}{}
			work.Go(func() {
				defer func() { <-slots }()
				inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
				if err != nil {
					t.Errorf("subscriber %d: %v", i, err)
					return
				}
				pulled[i] = inbounds
			})
		}
		work.Wait()
		if t.Failed() {
			t.FailNow()
		}
		for i, source := range sources {
			for _, inbounds := range pulled {
				h.ok(inbounds[i].WaitSource(h.ctx, source, 1))
			}
		}
		for i, source := range sources {
			from := source.Next()
			h.ok(source.WaitSent(h.ctx, from+count-1))
			for n, inbounds := range pulled {
				h.ok(inbounds[i].WaitAll(h.ctx, source, from, from+count))
				c := inbounds[i].Counts()
				if c.Duplicates+c.Foreign+c.Corrupt+c.Renumbered+c.Retimed != 0 || len(c.SSRCs) != 1 {
					t.Errorf("subscriber %d, %s: %+v", n, source.Name(), c)
				}
			}
		}
	})
}

// A payload type is what that client negotiated, whatever the publisher's is.
func TestPayloadTypesAreThoseOfEachClient(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	sources := h.sources()
	p := h.join(rtcclient.Options{PayloadTypes: rtcclient.PayloadTypes{Opus: 109, VP8: 120, RTX: 121}})
	h.ok(p.Push(h.ctx, sources...))
	s := h.join(rtcclient.Options{})
	inbounds, err := s.PullWithOffer(h.ctx, []string{rtcclient.Audio, rtcclient.Video}, p.Published(sources...)...)
	h.ok(err)
	h.allFlow(sources, inbounds, 30)
	for i, want := range []uint8{111, 96} {
		if got := inbounds[i].Counts().PayloadTypes; !slices.Equal(got, []uint8{want}) {
			t.Errorf("%s came with payload types %v, want %d", sources[i].Name(), got, want)
		}
	}
}

func TestMediaOverTCP(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.join(rtcclient.Options{TCP: true})
		h.ok(p.Push(h.ctx, sources...))
		s := h.join(rtcclient.Options{TCP: true})
		inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
		h.ok(err)
		h.allFlow(sources, inbounds, 30)
	})
}
