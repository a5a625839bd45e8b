package layer

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/mediaworker/internal/packet"
	"switchboard/shared/wire"
)

func active(rids ...string) []Layer {
	var layers []Layer
	for _, rid := range rids {
		name, off := strings.CutPrefix(rid, "-")
		layers = append(layers, Layer{RID: name, Active: !off})
	}
	return layers
}

func TestTarget(t *testing.T) {
	for _, tt := range []struct {
		name   string
		wish   *wire.Simulcast
		layers []Layer
		want   string // rid, "" for a plain track, "none"
	}{
		{"plain, automatic", nil, active(""), ""},
		{"plain ignores a wish", &wire.Simulcast{PreferredRID: "f", RIDNotAvailable: wire.OrderingNone}, active(""), ""},
		{"nothing yet", nil, nil, "none"},
		{"automatic is the best", nil, active("q", "h", "f"), "f"},
		{"automatic is the best active", nil, active("q", "h", "-f"), "h"},
		{"preferred", &wire.Simulcast{PreferredRID: "h"}, active("f", "h", "q"), "h"},
		{"preferred is off, only preferredRid given", &wire.Simulcast{PreferredRID: "f"}, active("-f", "h", "q"), "h"},
		{"preferred is off, explicit none", &wire.Simulcast{PreferredRID: "f", RIDNotAvailable: wire.OrderingNone}, active("-f", "h", "q"), "none"},
		{"preferred is off, asciibetical", &wire.Simulcast{PreferredRID: "b", RIDNotAvailable: wire.OrderingAsciibetical}, active("a", "-b", "c", "d"), "c"},
		{"no layer after preferred", &wire.Simulcast{PreferredRID: "c", RIDNotAvailable: wire.OrderingAsciibetical}, active("a", "b", "-c"), "b"},
		{"preferred was never declared", &wire.Simulcast{PreferredRID: "g"}, active("f", "h"), "h"},
		{"no preference, none", &wire.Simulcast{RIDNotAvailable: wire.OrderingNone}, active("-a", "b"), "b"},
		{"all off", nil, active("-a", "-b"), "none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := "none"
			if i := Target(WishOf(tt.wish), tt.layers); i != None {
				got = tt.layers[i].RID
			}
			if got != tt.want {
				t.Errorf("target %q, want %q", got, tt.want)
			}
		})
	}
}

// The script of a subscription's life, as golden text: what happens, and what
// the selector says to each packet.
func TestSelector(t *testing.T) {
	s := NewSelector(Wish{})
	var out strings.Builder
	layers := active("f", "h", "q")
	send := func(note string, index uint8, stream uint32, key bool) {
		p := &packet.Packet{Layer: index, Stream: stream, Media: packet.Media{Keyframe: key}}
		verdict := []string{"drop", "wait", "switch", "forward"}[s.Select(p)]
		fmt.Fprintf(&out, "%-44s layer %d stream %d key %-5v → %s\n", note, index, stream, key, verdict)
	}
	set := func(l []Layer) { s.SetLayers(l) }

	send("before any layer is known", 0, 1, true)
	set(active("-f", "-h", "q"))
	send("automatic, only q flows", 2, 3, false)
	send("its keyframe", 2, 3, true)
	send("", 2, 3, false)
	set(active("f", "h", "q"))
	send("f appears, delta", 0, 1, false)
	send("q goes on meanwhile", 2, 3, false)
	send("keyframe of f", 0, 1, true)
	send("q is over", 2, 3, true)
	s.SetWish(WishOf(&wire.Simulcast{PreferredRID: "h"}))
	send("h is wished for: f goes on", 0, 1, false)
	send("h, delta", 1, 2, false)
	send("h, keyframe", 1, 2, true)
	set(active("f", "-h", "q"))
	send("h stops: q is next", 2, 3, true)
	set(layers)
	send("h is back", 1, 2, true)
	s.SetWish(Wish{Preferred: "h", Strict: true})
	set(active("f", "-h", "q"))
	send("strict, h stops: nothing else", 0, 1, true)
	send("a late packet of h", 1, 2, false)
	set(layers)
	send("h resumes", 1, 2, false)
	send("with a keyframe", 1, 2, true)
	set(active("-f", "-h", "-q"))
	s.SetWish(Wish{})
	set(layers)
	send("automatic again", 0, 1, true)
	set(active("-f", "-h", "-q"))
	send("all silent, f resumes", 0, 1, false)
	send("another source takes f over, delta", 0, 9, false)
	send("its keyframe", 0, 9, true)
	send("the former source", 0, 1, false)
	s.Reset()
	send("reset", 0, 9, true)

	golden(t, "testdata/selector.golden", out.String())
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestSelectAllocatesNothing(t *testing.T) {
	s := NewSelector(Wish{})
	s.SetLayers(active("f", "h", "q"))
	p := &packet.Packet{Media: packet.Media{Keyframe: true}}
	if n := testing.AllocsPerRun(1000, func() { s.Select(p) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkSelect(b *testing.B) {
	s := NewSelector(Wish{})
	s.SetLayers(active("f", "h", "q"))
	p := &packet.Packet{Media: packet.Media{Keyframe: true}}
	b.ReportAllocs()
	for b.Loop() {
		s.Select(p)
	}
}
