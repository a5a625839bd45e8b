package rtcclient

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// Inbound accounts for the packets that came in on one section.
type Inbound struct {
	client *Client
	mid    string

	mu      sync.Mutex // guards the fields below
	counts  Counts
	sources map[uint32]*arrivals
	report  Report
	changed signal
}

// arrivals is what came of one Source.
type arrivals struct {
	seen       map[uint64]struct{}
	highest    uint64
	sequence   uint16 // outgoing sequence number minus packet number
	offset     uint32 // outgoing timestamp minus the source's
	sequenceOf map[uint64]uint16
}

// Counts is what came in on a section, all sources together.
type Counts struct {
	// Packets counts RTP packets, duplicates included; Duplicates those whose
	// number had come before; Late those whose number is below one seen before.
	Packets, Duplicates, Late uint64
	// Keyframes counts first packets of keyframes.
	Keyframes uint64
	// Foreign counts payloads that no Source made, Corrupt those that changed
	// on the way.
	Foreign, Corrupt uint64
	// Renumbered counts packets whose sequence number does not continue that of
	// the source's other packets, Retimed the same for timestamps.
	Renumbered, Retimed uint64
	// PayloadTypes and SSRCs lists those seen, in order of appearance.
	PayloadTypes []uint8
	SSRCs        []uint32
	// First and Last are the times of the first and the latest packet.
	First, Last time.Time
}

// Report is the latest sender report of a section.
type Report struct {
	// Count is how many came in.
	Count int
	// SSRC, Wall and Timestamp are what it says: the stream, and which RTP
	// timestamp was sampled when.
	SSRC      uint32
	Wall      time.Time
	Timestamp uint32
}

func newInbound(client *Client, mid string) *Inbound {
	return &Inbound{client: client, mid: mid, sources: make(map[uint32]*arrivals)}
}

// Mid returns the section's mid.
func (in *Inbound) Mid() string { return in.mid }

// Counts returns what has come in so far.
func (in *Inbound) Counts() Counts {
	in.mu.Lock()
	defer in.mu.Unlock()
	c := in.counts
	c.PayloadTypes, c.SSRCs = slices.Clone(c.PayloadTypes), slices.Clone(c.SSRCs)
	return c
}

// Report returns the latest sender report.
func (in *Inbound) Report() Report {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.report
}

// SequenceOf returns the RTP sequence number under which a packet arrived.
func (in *Inbound) SequenceOf(s *Source, number uint64) (uint16, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.sources[s.id]
	if a == nil {
		return 0, false
	}
	seq, ok := a.sequenceOf[number]
	return seq, ok
}

// SourceTimestamp maps an RTP timestamp of this section to the source's.
func (in *Inbound) SourceTimestamp(s *Source, timestamp uint32) (uint32, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.sources[s.id]
	if a == nil {
		return 0, false
	}
	return timestamp - a.offset, true
}

// First returns the lowest packet number of s that has arrived.
func (in *Inbound) First(s *Source) (uint64, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.sources[s.id]
	if a == nil || len(a.seen) == 0 {
		return 0, false
	}
	first := a.highest
	for n := range a.seen {
		first = min(first, n)
	}
	return first, true
}

// Missing returns the packet numbers in [from, to) of s that have not arrived.
func (in *Inbound) Missing(s *Source, from, to uint64) []uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.missing(s, from, to)
}

func (in *Inbound) missing(s *Source, from, to uint64) []uint64 {
	var lost []uint64
	a := in.sources[s.id]
	for n := from; n < to; n++ {
		if a == nil {
			lost = append(lost, n)
		} else if _, ok := a.seen[n]; !ok {
			lost = append(lost, n)
		}
	}
	return lost
}

// WaitPackets waits until n more packets have come in.
func (in *Inbound) WaitPackets(ctx context.Context, n uint64) error {
	want := in.Counts().Packets + n
	return in.wait(ctx, fmt.Sprintf("%d packets", want), func() bool { return in.counts.Packets >= want })
}

// WaitSource waits until n packets of s have come in.
func (in *Inbound) WaitSource(ctx context.Context, s *Source, n int) error {
	return in.wait(ctx, fmt.Sprintf("%d packets of %s", n, s.Name()), func() bool {
		a := in.sources[s.id]
		return a != nil && len(a.seen) >= n
	})
}

// WaitAll waits until every packet of s with a number in [from, to) has come in.
func (in *Inbound) WaitAll(ctx context.Context, s *Source, from, to uint64) error {
	return in.wait(ctx, fmt.Sprintf("packets %d to %d of %s", from, to, s.Name()),
		func() bool { return len(in.missing(s, from, to)) == 0 })
}

// WaitKeyframes waits until n keyframes have begun.
func (in *Inbound) WaitKeyframes(ctx context.Context, n uint64) error {
	return in.wait(ctx, fmt.Sprintf("%d keyframes", n), func() bool { return in.counts.Keyframes >= n })
}

// WaitReports waits until n sender reports have come in.
func (in *Inbound) WaitReports(ctx context.Context, n int) error {
	return in.wait(ctx, fmt.Sprintf("%d sender reports", n), func() bool { return in.report.Count >= n })
}

// RequestKeyframe sends a PLI for this section's stream.
func (in *Inbound) RequestKeyframe() error {
	ssrc, err := in.ssrc()
	if err != nil {
		return err
	}
	return in.client.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
}

// RequestPackets sends a NACK for sequence numbers of this section's stream.
func (in *Inbound) RequestPackets(seqs ...uint16) error {
	ssrc, err := in.ssrc()
	if err != nil {
		return err
	}
	nack := &rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)}
	return in.client.pc.WriteRTCP([]rtcp.Packet{nack})
}

func (in *Inbound) ssrc() (uint32, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.counts.SSRCs) == 0 {
		return 0, fmt.Errorf("section %s has received nothing", in.mid)
	}
	return in.counts.SSRCs[len(in.counts.SSRCs)-1], nil
}

// wait blocks until ok, which is called with the lock held.
func (in *Inbound) wait(ctx context.Context, what string, ok func() bool) error {
	for {
		in.mu.Lock()
		done, changed := ok(), in.changed.next()
		in.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("section %s of session %s: waited for %s, connection is %s, got %+v: %w",
				in.mid, in.client.Session(), what, in.client.pc.ConnectionState(), in.Counts(), context.Cause(ctx))
		}
	}
}

// read takes packets until the track ends. The Client owns it.
func (in *Inbound) read(track *webrtc.TrackRemote) {
	buffer := make([]byte, 2048)
	for {
		n, _, err := track.Read(buffer)
		if err != nil {
			return
		}
		var packet rtp.Packet
		if packet.Unmarshal(buffer[:n]) == nil && len(packet.Payload) > 0 {
			in.take(&packet, time.Now())
		}
	}
}

func (in *Inbound) take(p *rtp.Packet, now time.Time) {
	s, intact, ours := parsePayload(p.Payload)
	in.mu.Lock()
	defer in.mu.Unlock()
	c := &in.counts
	if c.Packets == 0 {
		c.First = now
	}
	c.Packets, c.Last = c.Packets+1, now
	if !slices.Contains(c.PayloadTypes, p.PayloadType) {
		c.PayloadTypes = append(c.PayloadTypes, p.PayloadType)
	}
	if !slices.Contains(c.SSRCs, p.SSRC) {
		c.SSRCs = append(c.SSRCs, p.SSRC)
	}
	switch {
	case !ours:
		c.Foreign++
	case !intact:
		c.Corrupt++
	default:
		in.arrived(p, s)
	}
	in.changed.fire()
}

// arrived accounts for an intact packet of a Source; the lock is held.
func (in *Inbound) arrived(p *rtp.Packet, s stamp) {
	c := &in.counts
	sequence, offset := p.SequenceNumber-uint16(s.number), p.Timestamp-s.timestamp
	a := in.sources[s.source]
	if a == nil {
		a = &arrivals{
			seen:       make(map[uint64]struct{}),
			sequenceOf: make(map[uint64]uint16),
			sequence:   sequence, offset: offset, highest: s.number,
		}
		in.sources[s.source] = a
	}
	if _, again := a.seen[s.number]; again {
		c.Duplicates++
		return
	}
	a.seen[s.number] = struct{}{}
	a.sequenceOf[s.number] = p.SequenceNumber
	if s.number < a.highest {
		c.Late++
	}
	a.highest = max(a.highest, s.number)
	if sequence != a.sequence {
		c.Renumbered++
		a.sequence = sequence
	}
	if offset != a.offset {
		c.Retimed++
		a.offset = offset
	}
	if s.keyframe {
		c.Keyframes++
	}
}

// readReports takes sender reports until the receiver ends. The Client owns it.
func (in *Inbound) readReports(receiver *webrtc.RTPReceiver) {
	for {
		packets, _, err := receiver.ReadRTCP()
		if err != nil {
			return
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				in.mu.Lock()
				in.report = Report{Count: in.report.Count + 1, SSRC: sr.SSRC, Wall: ntpTime(sr.NTPTime), Timestamp: sr.RTPTime}
				in.changed.fire()
				in.mu.Unlock()
			}
		}
	}
}

// ntpTime converts a 64-bit NTP timestamp (RFC 5905 section 6).
func ntpTime(ntp uint64) time.Time {
	const unixEpoch = 2208988800 // seconds from 1900 to 1970
	seconds, fraction := int64(ntp>>32)-unixEpoch, ntp&0xffff_ffff
	return time.Unix(seconds, int64(fraction*uint64(time.Second)>>32))
}
