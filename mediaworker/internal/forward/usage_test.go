package forward

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/wire"
)

func TestErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		leg, p := newPeer(t), newPublication(t, wire.Video)
		bind(t, leg, p, Stream{SSRC: 1, Codec: vp8})
		_, _ = subscribe(t, leg, p, SubscriptionConfig{})
		for rid := range maxLayers - 1 {
			bind(t, leg, p, Stream{SSRC: uint32(rid + 2), RID: string(rune('a' + rid)), Codec: vp8})
		}
		_, used := leg.Subscribe(p, SubscriptionConfig{SSRC: 1000, Writer: &viewer{}})
		for name, tt := range map[string]struct{ got, want error }{
			"other codec":     {leg.Bind(p, Stream{SSRC: 50, Codec: opus}), ErrCodec},
			"too many layers": {leg.Bind(p, Stream{SSRC: 51, RID: "zz", Codec: vp8}), ErrLayers},
			"ssrc in use":     {used, ErrSSRC},
		} {
			if !errors.Is(tt.got, tt.want) {
				t.Errorf("%s: got %v, want %v", name, tt.got, tt.want)
			}
		}
		p.Close()
		if err := leg.Bind(p, Stream{SSRC: 52, Codec: vp8}); !errors.Is(err, ErrClosed) {
			t.Errorf("bind to a closed publication: %v", err)
		}
		leg.Close()
		if _, err := leg.Subscribe(p, SubscriptionConfig{SSRC: 53}); !errors.Is(err, ErrClosed) {
			t.Errorf("subscribe on a closed leg: %v", err)
		}
	})
}

func TestUsage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ledger Ledger
		session := ledger.App("app").Child()
		publisher, leg := newPeer(t), newPeer(t)
		p := NewPublication(PublicationConfig{Kind: wire.Audio, Usage: session})
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus})
		s, _ := subscribe(t, leg, p, SubscriptionConfig{Usage: session})
		cam := newCamera(t, publisher.Leg, 7, 111, 1)
		for range 3 {
			cam.frame(false)
		}
		settle()
		const size = 12 + 11
		want := wire.Usage{IngressPackets: 3, IngressBytes: 3 * size, EgressPackets: 3, EgressBytes: 3 * size}
		check := func(when string) {
			t.Helper()
			if diff := cmp.Diff(want, ledger.Total()); diff != "" {
				t.Errorf("%s: %s", when, diff)
			}
		}
		check("live")
		s.Close()
		check("after the subscription")
		p.Close()
		check("after the publication")
		session.End()
		check("after the session")
		if got := len(ledger.App("app").children); got != 0 {
			t.Errorf("%d ended usages are still kept", got)
		}
		if got := s.State().Usage.EgressPackets; got != 3 {
			t.Errorf("subscription says %d", got)
		}
	})
}
