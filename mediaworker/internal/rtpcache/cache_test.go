package rtpcache

import (
	"testing"
	"time"

	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"switchboard/mediaworker/internal/packet"
)

func make1(t interface{ Fatal(...any) }, seq uint64, at time.Duration, size int) *packet.Packet {
	raw, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(seq)}, Payload: make([]byte, size)}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	p, err := packet.Parse(raw, at)
	if err != nil {
		t.Fatal(err)
	}
	p.Sequence = seq
	return p
}

var limits = Limits{Packets: 256, Bytes: 64 * 1500, Age: time.Second}

// A model that keeps everything agrees with the cache within the limits.
func TestCacheKeepsRecentPackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := New(limits)
		defer c.Clear()
		held := map[uint64]*packet.Packet{}
		next, now := uint64(65530), time.Duration(0)
		for range rapid.IntRange(1, 400).Draw(t, "packets") {
			now += time.Duration(rapid.IntRange(0, 20).Draw(t, "ms")) * time.Millisecond
			next += uint64(rapid.IntRange(1, 3).Draw(t, "step"))
			seq := next
			if rapid.IntRange(0, 9).Draw(t, "reorder") == 0 {
				seq -= uint64(rapid.IntRange(0, 80).Draw(t, "back"))
			}
			p := make1(t, seq, now, rapid.SampledFrom([]int{50, 1000}).Draw(t, "size"))
			c.Put(p)
			if got := c.Get(seq); got != nil {
				if got.Sequence != seq {
					t.Fatalf("asked for %d, got %d", seq, got.Sequence)
				}
				got.Release()
			}
			p.Release()
			held[seq] = p
			if c.Bytes() > limits.Bytes {
				t.Fatalf("%d bytes held", c.Bytes())
			}
		}
		bytes := 0
		for seq := range held {
			p := c.Get(seq)
			if p == nil {
				continue
			}
			if now-p.Arrival > limits.Age && seq == c.oldest {
				t.Fatalf("packet %d is %v old", seq, now-p.Arrival)
			}
			bytes += p.Footprint()
			p.Release()
		}
		if bytes != c.Bytes() {
			t.Fatalf("%d bytes found, %d counted", bytes, c.Bytes())
		}
		if held[next] != nil && c.at(next) == nil {
			t.Fatal("the newest packet is not held")
		}
	})
}

func TestAppend(t *testing.T) {
	c := New(limits)
	for seq := uint64(10); seq < 20; seq++ {
		p := make1(t, seq, 0, 10)
		if seq != 13 {
			c.Put(p)
		}
		p.Release()
	}
	room := make([]*packet.Packet, 0, 6)
	if _, ok := c.Append(room, 12); ok {
		t.Error("a hole was overlooked")
	}
	got, ok := c.Append(room, 14)
	if !ok || len(got) != 6 || got[0].Sequence != 14 || got[5].Sequence != 19 {
		t.Errorf("appended %d packets, %v", len(got), ok)
	}
	for _, p := range got {
		p.Release()
	}
	if _, ok := c.Append(make([]*packet.Packet, 0, 5), 14); ok {
		t.Error("more packets than there is room for")
	}
	for _, first := range []uint64{9, 20} {
		if _, ok := c.Append(room, first); ok {
			t.Errorf("packets from %d on were appended", first)
		}
	}
	c.Trim(2 * time.Second)
	if c.Bytes() != 0 {
		t.Errorf("%d bytes after their age", c.Bytes())
	}
}

func TestJumpEmptiesTheCache(t *testing.T) {
	c := New(limits)
	for _, seq := range []uint64{1, 2, 100000} {
		p := make1(t, seq, 0, 10)
		c.Put(p)
		p.Release()
	}
	if c.Get(2) != nil || c.Get(100000) == nil {
		t.Error("a jump has to empty the cache and keep the new packet")
	}
}

func TestPutAndGetAllocateNothing(t *testing.T) {
	c := New(limits)
	packets := make([]*packet.Packet, 4096)
	for i := range packets {
		packets[i] = make1(t, uint64(i), time.Duration(i)*time.Millisecond, 1000)
	}
	i := 0
	step := func() {
		c.Put(packets[i])
		if p := c.Get(uint64(i)); p != nil {
			p.Release()
		}
		i++
	}
	for range 1000 {
		step()
	}
	if n := testing.AllocsPerRun(2000, step); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkPut(b *testing.B) {
	c := New(Limits{Packets: 2048, Bytes: 3 << 20, Age: time.Hour})
	packets := make([]*packet.Packet, 8192)
	for i := range packets {
		packets[i] = make1(b, 0, 0, 1000)
	}
	b.ReportAllocs()
	seq := uint64(0)
	for b.Loop() {
		p := packets[seq%8192]
		p.Sequence = seq
		c.Put(p)
		seq++
	}
}
