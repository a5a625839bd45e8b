package forward

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"

	"switchboard/mediaworker/internal/munge"
	"switchboard/mediaworker/internal/packet"
)

const (
	audioLevel  = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	orientation = "urn:3gpp:video-orientation"
	dependency  = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)

func TestExtensionsAreRewritten(t *testing.T) {
	publisher := HeaderExtensions{URIMid: 1, URIStreamID: 2, audioLevel: 3, orientation: 4, dependency: 5, URITransportWide: 6}
	sent := map[uint8]string{1: "0", 2: "f", 3: "L", 4: "O", 6: "tw", 9: "unknown"}
	long := strings.Repeat("d", 40)
	for _, tt := range []struct {
		name       string
		subscriber HeaderExtensions
		extra      map[uint8]string
		want       map[uint8]string
		profile    uint16
	}{
		{"none negotiated", nil, nil, map[uint8]string{}, 0},
		{"ids change, the rest is left out", HeaderExtensions{audioLevel: 7, URIStreamID: 8}, nil, map[uint8]string{7: "L"}, oneByteProfile},
		{"crossed ids", HeaderExtensions{audioLevel: 4, orientation: 3}, nil, map[uint8]string{4: "L", 3: "O"}, oneByteProfile},
		{"ours are written", HeaderExtensions{URIMid: 1, URITransportWide: 2, URIAbsSendTime: 3}, nil, map[uint8]string{1: "s7", 2: "\x01\x02", 3: "\x0a\x0b\x0c"}, oneByteProfile},
		{"high id", HeaderExtensions{audioLevel: 15, orientation: 1}, nil, map[uint8]string{15: "L", 1: "O"}, twoByteProfile},
		{"long value", HeaderExtensions{dependency: 1, audioLevel: 2}, map[uint8]string{5: long}, map[uint8]string{1: long, 2: "L"}, twoByteProfile},
		{"long value that is left out", HeaderExtensions{audioLevel: 2}, map[uint8]string{5: long}, map[uint8]string{2: "L"}, oneByteProfile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := rtp.Header{Version: 2, Extension: true, ExtensionProfile: twoByteProfile}
			for _, values := range []map[uint8]string{sent, tt.extra} {
				for id, value := range values {
					if err := h.SetExtension(id, []byte(value)); err != nil {
						t.Fatal(err)
					}
				}
			}
			p, err := packet.Parse(marshal(t, rtp.Packet{Header: h, Payload: []byte("x")}), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Release()
			e := newExtensions(tt.subscriber, "s7")
			e.bind(publisher)
			var out rtp.Header
			for range 2 { // the header is reused
				e.write(&out, p, stamp{transportWide: 0x0102, absSendTime: 0x0a0b0c})
			}
			got := map[uint8]string{}
			for _, id := range out.GetExtensionIDs() {
				got[id] = string(out.GetExtension(id))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if out.Extension && out.ExtensionProfile != tt.profile {
				t.Errorf("profile %#x, want %#x", out.ExtensionProfile, tt.profile)
			}
			if _, err := out.Marshal(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAbsSendTime(t *testing.T) {
	for at, want := range map[time.Duration]uint32{
		0: 0, time.Second: 1 << 18, 64 * time.Second: 0, 65*time.Second + 500*time.Millisecond: 1<<18 + 1<<17,
	} {
		if got := absSendTime(at); got != want {
			t.Errorf("%v is %d, want %d", at, got, want)
		}
	}
}

func TestPatch(t *testing.T) {
	for _, tt := range []struct {
		name  string
		media packet.Media
		want  []byte
	}{
		{"15 bits", packet.Media{PictureIDBits: 15, PictureIDAt: 1}, []byte{0, 0xff, 0xfe, 0, 0}},
		{"7 bits", packet.Media{PictureIDBits: 7, PictureIDAt: 2}, []byte{0, 0, 0x7e, 0, 0}},
		{"with tl0picidx", packet.Media{PictureIDBits: 15, PictureIDAt: 1, TL0At: 3}, []byte{0, 0xff, 0xfe, 9, 0}},
		{"none", packet.Media{}, make([]byte, 5)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := make([]byte, 5)
			patch(got, tt.media, munge.Numbers{PictureID: 0x7ffe, TL0: 9})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
