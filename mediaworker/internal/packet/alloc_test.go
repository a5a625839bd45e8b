//go:build !race

// The race detector makes sync.Pool drop items at random, so what is pooled
// allocates now and then; without it nothing may.

package packet

import (
	"testing"

	"github.com/pion/rtp"
)

func sample(t testing.TB) []byte {
	h := rtp.Header{Version: 2, PayloadType: 96, SequenceNumber: 1, SSRC: 1}
	for id := uint8(1); id <= 4; id++ {
		if err := h.SetExtension(id, []byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	return marshal(t, &rtp.Packet{Header: h, Payload: append([]byte{0x90, 0xe0, 0x81, 0x02, 0x07, 0x40, 0}, make([]byte, 1100)...)})
}

func TestParseAllocatesNothing(t *testing.T) {
	raw := sample(t)
	if n := testing.AllocsPerRun(1000, func() {
		p, _ := Parse(raw, 0)
		p.Inspect(VP8)
		p.Release()
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkParse(b *testing.B) {
	raw := sample(b)
	b.ReportAllocs()
	for b.Loop() {
		p, _ := Parse(raw, 0)
		p.Inspect(VP8)
		p.Release()
	}
}
