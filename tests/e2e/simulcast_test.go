package e2e_test

import (
	"testing"

	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/rtcclient"
)

// layers makes one simulcast camera; f is its best layer and declared, but sends
// only after Resume.
func (h harness) layers() map[string]*rtcclient.Source {
	h.t.Helper()
	layers := make(map[string]*rtcclient.Source)
	for _, rid := range []string{"f", "h", "q"} {
		layers[rid] = h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video, RID: rid, PacketsPerFrame: 2, Size: 300})
	}
	layers["f"].Pause()
	return layers
}

// Which layer a pull gets, of those that are declared and those that send.
func TestSimulcastPulls(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		layers := h.layers()
		p := h.join(rtcclient.Options{})
		h.ok(p.PushSimulcast(h.ctx, layers["f"], layers["h"], layers["q"]))
		const other = "asciibetical"
		for _, c := range []struct {
			name string
			wish *apiclient.Simulcast
			want string // the layer that comes while f is silent
		}{
			{"without a wish the best that sends", nil, "h"},
			{"an empty preference is none", &apiclient.Simulcast{}, "h"},
			{"the preferred layer", &apiclient.Simulcast{PreferredRID: "q"}, "q"},
			{"strictly the preferred layer", &apiclient.Simulcast{PreferredRID: "h", PriorityOrdering: "none", RIDNotAvailable: "none"}, "h"},
			{"the next one for a layer that never sends", &apiclient.Simulcast{PreferredRID: "f"}, "h"},
			{"the same, asked for", &apiclient.Simulcast{PreferredRID: "f", PriorityOrdering: other, RIDNotAvailable: other}, "h"},
			{"the next one for a rid that nobody declared", &apiclient.Simulcast{PreferredRID: "i", RIDNotAvailable: other}, "q"},
			{"the nearest before, where none follows", &apiclient.Simulcast{PreferredRID: "z", RIDNotAvailable: other}, "q"},
		} {
			s := h.join(rtcclient.Options{})
			ref := rtcclient.Ref{Session: p.Session(), Track: "camera", Simulcast: c.wish}
			ins, response, err := s.PullItems(h.ctx, ref)
			h.ok(err)
			if got := response.Tracks[0]; got.ErrorCode != "" || (got.Simulcast == nil) != (c.wish == nil) || c.wish != nil && *got.Simulcast != *c.wish {
				t.Errorf("%s: item is %+v with %+v, want the wish %+v", c.name, got, got.Simulcast, c.wish)
			}
			h.arrives(layers[c.want], ins[0], 20)
			for rid, l := range layers {
				if n, came := ins[0].First(l); came && rid != c.want {
					t.Errorf("%s: packet %d of layer %q came, want only %q", c.name, n, rid, c.want)
				}
			}
			if counts := ins[0].Counts(); len(counts.SSRCs) != 1 || counts.Duplicates+counts.Foreign+counts.Corrupt != 0 {
				t.Errorf("%s: %+v", c.name, counts)
			}
		}
	})
}

// A layer that begins or ends moves those who want it, and no one else.
func TestSimulcastLayersComeAndGo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		layers := h.layers()
		p := h.join(rtcclient.Options{})
		h.ok(p.PushSimulcast(h.ctx, layers["f"], layers["h"], layers["q"]))
		pull := func(wish *apiclient.Simulcast) *rtcclient.Inbound {
			ins, err := h.join(rtcclient.Options{}).Pull(h.ctx, rtcclient.Ref{Session: p.Session(), Track: "camera", Simulcast: wish})
			h.ok(err)
			return ins[0]
		}
		auto := pull(nil)
		strict := pull(&apiclient.Simulcast{PreferredRID: "f", RIDNotAvailable: "none"})
		low := pull(&apiclient.Simulcast{PreferredRID: "q"})
		h.arrives(layers["h"], auto, 20)
		h.arrives(layers["q"], low, 20)
		if got := strict.Counts().Packets; got != 0 {
			t.Errorf("%d packets of other layers came where only f was wanted", got)
		}

		layers["f"].Resume()
		h.arrives(layers["f"], auto, 20)
		h.arrives(layers["f"], strict, 20)

		layers["f"].Pause()
		h.ok(auto.WaitPackets(h.ctx, 20)) // back at h once f counts as silent
		h.arrives(layers["h"], auto, 20)
		h.arrives(layers["q"], low, 20)
		if n, came := strict.First(layers["h"]); came {
			t.Errorf("packet %d of layer h came where only f was wanted", n)
		}
	})
}
