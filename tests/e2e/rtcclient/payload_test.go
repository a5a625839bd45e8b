package rtcclient

import "testing"

func TestPayloadTellsWhichPacketItIs(t *testing.T) {
	want := stamp{source: 7, number: 1 << 40, timestamp: 0xffff_fff0, keyframe: true}
	for name, head := range map[string][]byte{
		"opus":                 opusHead(),
		"VP8 keyframe":         vp8Head(0x7fff, true, true),
		"VP8 delta frame":      vp8Head(1, true, false),
		"VP8 later in a frame": vp8Head(1, false, false),
	} {
		p := appendPayload(nil, head, want, 200)
		if len(p) != 200 {
			t.Errorf("%s: %d bytes, want 200", name, len(p))
		}
		got, intact, ok := parsePayload(p)
		if got != want || !intact || !ok {
			t.Errorf("%s: parsed %+v, intact %v, ok %v", name, got, intact, ok)
		}
		p[len(head)+3] ^= 1
		if _, intact, ok := parsePayload(p); intact || !ok {
			t.Errorf("%s, one bit flipped: intact %v, ok %v", name, intact, ok)
		}
		if _, _, ok := parsePayload(p[:len(p)-1]); ok {
			t.Errorf("%s, cut short: taken for one of ours", name)
		}
	}
}
