package packet

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
	"pgregory.net/rapid"
)

func marshal(t testing.TB, p *rtp.Packet) []byte {
	t.Helper()
	b, err := p.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	one := rtp.Header{Version: 2, Marker: true, PayloadType: 96, SequenceNumber: 65530, Timestamp: 90000, SSRC: 7, CSRC: []uint32{1, 2}}
	for id, value := range map[uint8]string{1: "a", 14: strings.Repeat("x", 16)} {
		if err := one.SetExtension(id, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	two := rtp.Header{Version: 2, SSRC: 9, Extension: true, ExtensionProfile: 0x1000}
	for id, value := range map[uint8]string{1: "", 200: strings.Repeat("y", 200)} {
		if err := two.SetExtension(id, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	padded := rtp.Header{Version: 2, SSRC: 3, Padding: true, PaddingSize: 200}
	for _, tt := range []struct {
		name    string
		header  rtp.Header
		payload string
	}{
		{"one-byte extensions", one, "media"},
		{"two-byte extensions", two, strings.Repeat("z", 1200)},
		{"padding", padded, "media"},
		{"padding only", padded, ""},
		{"jumbo", rtp.Header{Version: 2}, strings.Repeat("j", 8000)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := marshal(t, &rtp.Packet{Header: tt.header, Payload: []byte(tt.payload)})
			p, err := Parse(raw, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			h := tt.header
			if p.SSRC != h.SSRC || uint16(p.Sequence) != h.SequenceNumber || p.Timestamp != h.Timestamp ||
				p.Marker != h.Marker || p.PayloadType != h.PayloadType || p.Arrival != time.Second {
				t.Errorf("parsed %+v, want %+v", p, h)
			}
			if got := string(p.Payload()); got != tt.payload {
				t.Errorf("payload has %d bytes, want %d", len(got), len(tt.payload))
			}
			if p.Size() != len(raw) || !bytes.Equal(p.Raw(), raw) {
				t.Error("raw packet is not what came in")
			}
			if p.Extensions() != len(h.GetExtensionIDs()) {
				t.Errorf("%d extensions, want %d", p.Extensions(), len(h.GetExtensionIDs()))
			}
			for _, id := range h.GetExtensionIDs() {
				if got := p.Extension(id); got == nil || !bytes.Equal(got, h.GetExtension(id)) {
					t.Errorf("extension %d is %q, want %q", id, got, h.GetExtension(id))
				}
			}
			if p.Extension(77) != nil {
				t.Error("an extension that is not there was found")
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	good := marshal(t, &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: []byte("x")})
	with := func(at int, b byte) []byte { c := bytes.Clone(good); c[at] = b; return c }
	for _, tt := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, ErrTruncated},
		{"short header", good[:11], ErrTruncated},
		{"version 1", with(0, 0x40), ErrVersion},
		{"csrcs missing", with(0, 0x8f), ErrTruncated},
		{"extension missing", with(0, 0x90), ErrTruncated},
		{"extension too long", append(with(0, 0x90)[:12], 0xbe, 0xde, 0, 9, 1, 2, 3, 4), ErrTruncated},
		{"padding longer than the payload", with(0, 0xa0), ErrTruncated},
		{"padding of nothing", append(with(0, 0xa0)[:12], 0), ErrTruncated},
		{"too large", make([]byte, MaxSize+1), ErrSize},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse(tt.raw, 0); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRestore(t *testing.T) {
	raw := marshal(t, &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 97, SequenceNumber: 5, SSRC: 2, Timestamp: 9},
		Payload: []byte{0xff, 0xfa, 'x'},
	})
	p, err := Parse(raw, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Release()
	if !p.Restore(1, 96) || p.Sequence != 0xfffa || p.SSRC != 1 || p.PayloadType != 96 || string(p.Payload()) != "x" {
		t.Errorf("restored to %+v with payload %q", p, p.Payload())
	}
	if p.Restore(1, 96) {
		t.Error("a payload of one byte was taken for a retransmission")
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	p, err := Parse(marshal(t, &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: make([]byte, 2000)}), 0)
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	defer func() {
		if recover() == nil {
			t.Error("releasing twice went unnoticed")
		}
	}()
	p.Release()
}

func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name    string
		format  Format
		payload []byte
		want    Media
	}{
		{"vp8 keyframe, 15 bits", VP8, []byte{0x90, 0xe0, 0x81, 0x02, 0x07, 0x40, 0x00}, Media{Keyframe: true, TemporalID: 1, PictureID: 0x102, PictureIDBits: 15, PictureIDAt: 2, TL0At: 4, TL0: 7}},
		{"vp8 delta, 7 bits", VP8, []byte{0x90, 0x80, 0x05, 0x01}, Media{PictureID: 5, PictureIDBits: 7, PictureIDAt: 2}},
		{"vp8 second partition", VP8, []byte{0x11, 0x00, 0x00}, Media{}},
		{"vp8 continuation", VP8, []byte{0x00, 0x00, 0x00}, Media{}},
		{"vp8 plain keyframe", VP8, []byte{0x10, 0x00}, Media{Keyframe: true}},
		{"vp8 descriptor ends early", VP8, []byte{0x90, 0x80}, Media{}},
		{"vp9 keyframe", VP9, []byte{0x88, 0x85, 0x01}, Media{Keyframe: true, PictureID: 0x501, PictureIDBits: 15, PictureIDAt: 1}},
		{"vp9 delta", VP9, []byte{0xc8, 0x05}, Media{PictureID: 5, PictureIDBits: 7, PictureIDAt: 1}},
		{"vp9 upper spatial layer", VP9, []byte{0x28, 0x02, 0x09}, Media{TL0At: 2, TL0: 9}},
		{"vp9 middle of a frame", VP9, []byte{0x00}, Media{}},
		{"h264 idr", H264, []byte{0x65, 0x88}, Media{Keyframe: true}},
		{"h264 sps", H264, []byte{0x67, 0x42}, Media{Keyframe: true}},
		{"h264 delta", H264, []byte{0x41, 0x9a}, Media{}},
		{"h264 stap-a with sps", H264, []byte{0x78, 0, 1, 0x68, 0, 1, 0x67}, Media{Keyframe: true}},
		{"h264 stap-a without", H264, []byte{0x78, 0, 1, 0x68, 0, 9, 0x41}, Media{}},
		{"h264 fu-a start of idr", H264, []byte{0x7c, 0x85}, Media{Keyframe: true}},
		{"h264 fu-a middle of idr", H264, []byte{0x7c, 0x05}, Media{}},
		{"h265 idr", H265, []byte{0x26, 0x01, 0xaf}, Media{Keyframe: true}},
		{"h265 vps", H265, []byte{0x40, 0x01, 0x0c}, Media{Keyframe: true}},
		{"h265 delta", H265, []byte{0x02, 0x01, 0xd0}, Media{}},
		{"h265 fu start of idr", H265, []byte{0x62, 0x01, 0x93}, Media{Keyframe: true}},
		{"h265 fu middle of idr", H265, []byte{0x62, 0x01, 0x13}, Media{}},
		{"h265 aggregation with sps", H265, []byte{0x60, 0x01, 0, 1, 0x42}, Media{Keyframe: true}},
		{"av1 new sequence", AV1, []byte{0x18}, Media{Keyframe: true}},
		{"av1 delta", AV1, []byte{0x10}, Media{}},
		{"opaque", Opaque, []byte{0}, Media{Keyframe: true}},
		{"opaque padding", Opaque, nil, Media{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse(marshal(t, &rtp.Packet{Header: rtp.Header{Version: 2}, Payload: tt.payload}), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			p.Inspect(tt.format)
			if diff := cmp.Diff(tt.want, p.Media); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// End-to-end encryption leaves the descriptor and the first payload byte (delta)
// or ten bytes (keyframe) in the clear: what follows must not matter.
func TestInspectReadsNoFurther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		open := []byte{0x90, 0xe0, 0x81, 0x02, 0x07, 0x40, byte(rapid.IntRange(0, 255).Draw(t, "first"))}
		tail := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "encrypted")
		want, got := inspectVP8(open), inspectVP8(append(bytes.Clone(open), tail...))
		if want != got {
			t.Fatalf("%+v became %+v", want, got)
		}
	})
}

func TestUnwrap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u Unwrapper
		at := uint64(rapid.Uint16().Draw(t, "first"))
		base := u.Unwrap(uint16(at)) - at
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			step := rapid.IntRange(-200, 2000).Draw(t, "step")
			next := at + uint64(step)
			if got := u.Unwrap(uint16(next)); got != base+next {
				t.Fatalf("unwrapped %d, want %d", got, base+next)
			}
			at = max(at, next)
		}
		before := u.Highest()
		u.Restart()
		if got := u.Unwrap(rapid.Uint16().Draw(t, "restart")); got <= before {
			t.Fatalf("restarted at %d, not above %d", got, before)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 0, 1, 0x10, 1, 0, 0, 0x90, 0x80, 0x80, 1, 2})
	f.Add([]byte{0xb0, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0, 0, 1, 1, 2, 3, 4, 0, 0, 2})
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Parse(raw, 0)
		if err != nil {
			return
		}
		defer p.Release()
		for i := range p.Extensions() {
			if id, value := p.ExtensionAt(i); id == 0 || len(value) > 255 {
				t.Fatalf("extension %d has %d bytes", id, len(value))
			}
		}
		for _, format := range []Format{Opaque, VP8, VP9, H264, H265, AV1} {
			p.Media = Media{}
			p.Inspect(format)
			m, n := p.Media, len(p.Payload())
			if m.PictureIDBits > 0 && int(m.PictureIDAt)+int(m.PictureIDBits)/8 >= n || m.TL0At > 0 && int(m.TL0At) >= n {
				t.Fatalf("%+v points outside of %d bytes", m, n)
			}
		}
		var other rtp.Packet
		if other.Unmarshal(raw) == nil && !bytes.Equal(other.Payload, p.Payload()) {
			t.Fatalf("payload %x, pion reads %x", p.Payload(), other.Payload)
		}
		p.Restore(1, 2)
	})
}
