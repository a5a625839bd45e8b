package munge

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"switchboard/mediaworker/internal/packet"
)

const rate = 90000

func pkt(layer uint8, stream uint32, seq uint64, ts uint32, at time.Duration) *packet.Packet {
	return &packet.Packet{
		Layer: layer, Stream: stream, Sequence: seq, Timestamp: ts, Arrival: at,
		Media: packet.Media{PictureIDBits: 15, PictureID: uint16(seq) & 0x7fff, TL0At: 1, TL0: uint8(seq)},
	}
}

func rewrite(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Munger, p *packet.Packet) Numbers {
	t.Helper()
	n, ok := m.Rewrite(p)
	if !ok {
		t.Fatalf("packet %d of layer %d has no number", p.Sequence, p.Layer)
	}
	return n
}

func TestFirstSegmentKeepsThePublishersNumbers(t *testing.T) {
	m := New(32767)
	p := pkt(0, 1, 65536+65535, 1234, 0)
	m.Switch(p, Clock{}, Clock{Rate: rate})
	n := rewrite(t, &m, p)
	if n.Sequence != 32767 || n.Timestamp != 1234 || n.PictureID != p.Media.PictureID || n.TL0 != p.Media.TL0 {
		t.Errorf("first packet became %+v", n)
	}
	if n := rewrite(t, &m, pkt(0, 1, 65536+65536, 1234, 0)); n.Sequence != 32768 {
		t.Errorf("second packet became %+v", n)
	}
}

func TestSwitchAlignsTimestamps(t *testing.T) {
	// Layer 0 shows 1000 when layer 1 shows 500000: both reported at the same second.
	zero := Clock{NTP: 100 << 32, RTP: 1000, Rate: rate}
	one := Clock{NTP: 100<<32 + 1<<31, RTP: 500000 + rate/2, Rate: rate}
	for _, tt := range []struct {
		name           string
		previous, next Clock
		at             time.Duration // arrival of the switch; the last packet came at 0 with 1000
		ts             uint32        // publisher's, in layer 1
		want           uint32        // the last packet had 1000
	}{
		{"by the publisher's clock", zero, one, 33 * time.Millisecond, 500000 + 3000, 4000},
		{"by arrival", zero, Clock{Rate: rate}, 40 * time.Millisecond, 7, 1000 + 3600},
		{"clocks of two publishers disagree", zero, Clock{NTP: 9000 << 32, RTP: 1, Rate: rate}, 40 * time.Millisecond, 7, 1000 + 3600},
		{"never backwards", zero, one, time.Millisecond, 500000 - 3000, 1001},
		{"the same picture", zero, one, time.Millisecond, 500000, 1001},
		{"after days", zero, Clock{Rate: rate}, 240 * time.Hour, 7, 1000 + uint32(rate*uint64(240*3600)&0xffffffff)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New(1)
			p := pkt(0, 1, 70000, 1000, 0)
			m.Switch(p, Clock{}, zero)
			rewrite(t, &m, p)
			q := pkt(1, 2, 80000, tt.ts, tt.at)
			m.Switch(q, tt.previous, tt.next)
			n := rewrite(t, &m, q)
			if n.Timestamp != tt.want {
				t.Errorf("timestamp %d, want %d", n.Timestamp, tt.want)
			}
			if n.Sequence != 2 || n.PictureID != p.Media.PictureID+1 || n.TL0 != p.Media.TL0+1 {
				t.Errorf("numbers %+v do not follow on", n)
			}
		})
	}
}

func TestLocateIsTheInverse(t *testing.T) {
	m := New(0)
	if _, ok := m.Locate(0); ok {
		t.Error("located a number of an empty stream")
	}
	p := pkt(0, 1, 70000, 0, 0)
	m.Switch(p, Clock{}, Clock{})
	rewrite(t, &m, p)
	rewrite(t, &m, pkt(0, 1, 70002, 0, 0)) // 70001 is lost
	q := pkt(1, 2, 90000, 0, 0)
	m.Switch(q, Clock{}, Clock{})
	rewrite(t, &m, q)
	for number, want := range []Origin{{0, 1, 70000}, {0, 1, 70001}, {0, 1, 70002}, {1, 2, 90000}} {
		if got, ok := m.Locate(uint16(number)); !ok || got != want {
			t.Errorf("number %d is %+v %v, want %+v", number, got, ok, want)
		}
	}
	for _, number := range []uint16{4, 5, 65535, 30000} {
		if got, ok := m.Locate(number); ok {
			t.Errorf("number %d was never sent, but is %+v", number, got)
		}
	}
	m.Forget()
	if _, ok := m.Locate(3); ok {
		t.Error("located a number of a forgotten segment")
	}
	if m.Next() != 4 {
		t.Errorf("next is %d, want 4", m.Next())
	}
}

// model is what a Munger has to do, told packet by packet.
type model struct {
	t        *rapid.T
	m        Munger
	layer    uint8
	next     [3]uint64                   // publisher's next number by layer
	out      uint64                      // next outgoing number
	lost     []uint64                    // since the last packet of the layer
	reserved map[uint8]map[uint64]uint64 // numbers kept for lost packets
	used     map[uint64]bool
	last     uint32 // highest timestamp sent
	now      time.Duration
}

func (m *model) take() *packet.Packet {
	seq := m.next[m.layer]
	m.next[m.layer]++
	return m.packet(seq)
}

func (m *model) packet(seq uint64) *packet.Packet {
	return pkt(m.layer, uint32(m.layer)+1, seq, Ticks(m.now, rate)+uint32(m.layer)*1e6, m.now)
}

// reserve gives the packets lost before a received one their numbers.
func (m *model) reserve() {
	for _, seq := range m.lost {
		m.reserved[m.layer][seq] = m.out
		m.out++
	}
	m.lost = nil
}

func (m *model) emit(p *packet.Packet, want uint64) Numbers {
	n := rewrite(m.t, &m.m, p)
	if n.Sequence != uint16(want) || m.used[want] {
		m.t.Fatalf("packet %d became %d, want %d (used: %v)", p.Sequence, n.Sequence, uint16(want), m.used[want])
	}
	m.used[want] = true
	if again, ok := m.m.Lookup(p); !ok || again != n {
		m.t.Fatalf("a retransmission would be %+v, it was %+v", again, n)
	}
	if o, ok := m.m.Locate(n.Sequence); !ok || o.Layer != p.Layer || o.Sequence != p.Sequence {
		m.t.Fatalf("number %d leads to %+v, not to %d", n.Sequence, o, p.Sequence)
	}
	return n
}

func (m *model) fresh(p *packet.Packet) {
	n := m.emit(p, m.out)
	if m.out++; int32(n.Timestamp-m.last) < 0 && len(m.used) > 1 {
		m.t.Fatalf("timestamp went from %d to %d", m.last, n.Timestamp)
	}
	m.last = n.Timestamp
}

func (m *model) step(name string) {
	m.now += 5 * time.Millisecond
	switch name {
	case "switch":
		m.layer = uint8(rapid.IntRange(0, 2).Draw(m.t, "layer"))
		m.lost = nil
		p := m.take()
		m.m.Switch(p, Clock{}, Clock{Rate: rate})
		m.fresh(p)
	case "send":
		p := m.take()
		m.reserve()
		m.fresh(p)
	case "lose":
		m.lost = append(m.lost, m.take().Sequence)
	case "pad":
		p := m.take()
		m.reserve()
		if !m.m.Skip(p) {
			m.t.Fatalf("padding %d could not be skipped", p.Sequence)
		}
		if _, ok := m.m.Rewrite(p); ok {
			m.t.Fatalf("skipped packet %d has a number", p.Sequence)
		}
	case "late", "late padding":
		for seq, want := range m.reserved[m.layer] {
			delete(m.reserved[m.layer], seq)
			p := m.packet(seq)
			if name == "late padding" && m.m.Skip(p) {
				if _, kept := m.m.Rewrite(p); kept || len(m.m.segments) < maxSegments {
					m.t.Fatalf("packet %d was skipped although its number is taken", seq)
				}
				return
			}
			if _, ok := m.m.Rewrite(p); !ok && len(m.m.segments) == maxSegments {
				return // forgotten
			}
			m.emit(p, want)
			return
		}
	}
}

// Whatever is lost, late, skipped or switched: outgoing numbers are unique, have
// no holes but those of the publisher, never go back in time, and lead back to
// their packets.
func TestContinuity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := uint16(rapid.IntRange(0, 1<<15-1).Draw(t, "first"))
		m := &model{
			t: t, m: New(first), out: uint64(first),
			reserved: map[uint8]map[uint64]uint64{0: {}, 1: {}, 2: {}}, used: map[uint64]bool{},
		}
		for i := range m.next {
			m.next[i] = 65536 + uint64(rapid.SampledFrom([]int{0, 100, 65000, 65530}).Draw(t, "start"))
		}
		m.step("switch")
		steps := []string{"send", "send", "send", "send", "lose", "late", "pad", "late padding", "switch"}
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			m.step(rapid.SampledFrom(steps).Draw(t, "step"))
		}
	})
}

// Sixty thousand packets: the outgoing numbers wrap, and every one follows.
func TestOutgoingWrap(t *testing.T) {
	m := New(32000)
	want := uint16(32000)
	for i := range uint64(140000) {
		p := pkt(0, uint32(i/1000), 65530+i, uint32(i)*3000, time.Duration(i)*time.Millisecond)
		if i%1000 == 0 {
			m.Switch(p, Clock{}, Clock{Rate: rate})
		}
		if n := rewrite(t, &m, p); n.Sequence != want {
			t.Fatalf("packet %d became %d, want %d", i, n.Sequence, want)
		}
		want++
	}
}

func TestRewriteAllocatesNothing(t *testing.T) {
	m := New(1)
	p := pkt(0, 1, 70000, 0, 0)
	m.Switch(p, Clock{}, Clock{})
	if n := testing.AllocsPerRun(1000, func() {
		p.Sequence++
		m.Rewrite(p)
	}); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkRewrite(b *testing.B) {
	m := New(1)
	p := pkt(0, 1, 70000, 0, 0)
	m.Switch(p, Clock{}, Clock{})
	b.ReportAllocs()
	for b.Loop() {
		p.Sequence++
		m.Rewrite(p)
	}
}
