package forward

import (
	"sync"
	"time"

	"github.com/pion/rtcp"

	"switchboard/mediaworker/internal/munge"
	"switchboard/mediaworker/internal/packet"
)

// inbound is a bound stream of a leg: the Source of one layer.
type inbound struct {
	leg    *Leg
	stream Stream
	feed   feed

	mu        sync.Mutex // guards what follows
	reception reception
	fir       uint8 // number of the last full intra request
}

// take brings in a packet of the stream, or of its retransmissions.
func (in *inbound) take(p *packet.Packet, repair bool) {
	switch {
	case repair:
		if !p.Restore(in.stream.SSRC, in.stream.Codec.PayloadType) {
			in.discard(p)
			return
		}
	case p.PayloadType != in.stream.Codec.PayloadType:
		in.discard(p)
		return
	default:
		in.mu.Lock()
		in.reception.received(p, in.stream.Codec.ClockRate)
		in.mu.Unlock()
	}
	in.feed.push(p)
}

// discard counts a packet that carries nothing for the layer: a probe of the
// publisher's, or another format.
func (in *inbound) discard(p *packet.Packet) {
	in.feed.layer.usage.ingress(1, p.Size())
	p.Release()
}

// RequestKeyframe implements Source.
func (in *inbound) RequestKeyframe(string) {
	if !in.stream.FIROnly {
		in.leg.post(&rtcp.PictureLossIndication{SenderSSRC: in.leg.ssrc, MediaSSRC: in.stream.SSRC})
		return
	}
	in.mu.Lock()
	in.fir++
	n := in.fir
	in.mu.Unlock()
	in.leg.post(&rtcp.FullIntraRequest{
		SenderSSRC: in.leg.ssrc,
		FIR:        []rtcp.FIREntry{{SSRC: in.stream.SSRC, SequenceNumber: n}},
	})
}

// RequestRetransmission implements Source.
func (in *inbound) RequestRetransmission(_ string, sequences []uint16) {
	in.leg.post(&rtcp.TransportLayerNack{
		SenderSSRC: in.leg.ssrc, MediaSSRC: in.stream.SSRC,
		Nacks: rtcp.NackPairsFromSequenceNumbers(sequences),
	})
}

// report takes the publisher's sender report.
func (in *inbound) report(r *rtcp.SenderReport, at time.Duration) {
	in.mu.Lock()
	in.reception.lastReport, in.reception.reportAt = middle(r.NTPTime), at
	in.mu.Unlock()
	in.feed.report(SenderReport{
		NTP: r.NTPTime, RTP: r.RTPTime,
		Packets: r.PacketCount, Octets: r.OctetCount, Arrival: at,
	})
}

// receptionReport returns the report block of the stream, false before its
// first packet.
func (in *inbound) receptionReport(at time.Duration) (rtcp.ReceptionReport, bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.reception.block(in.stream.SSRC, at)
}

// reception counts what arrived of a stream (RFC 3550 sections 6.4.1 and A.3).
type reception struct {
	sequences      packet.Unwrapper
	first          uint64
	count          uint64
	expectedBefore uint64
	countBefore    uint64
	transit        uint32
	jitter         float64 // in timestamp units
	lastReport     uint32
	reportAt       time.Duration
}

func (r *reception) received(p *packet.Packet, rate uint32) {
	sequence := r.sequences.Unwrap(uint16(p.Sequence))
	transit := munge.Ticks(p.Arrival, rate) - p.Timestamp
	if r.count == 0 {
		r.first = sequence
	} else {
		d := float64(int32(transit - r.transit))
		r.jitter += (max(d, -d) - r.jitter) / 16
	}
	r.first = min(r.first, sequence)
	r.transit = transit
	r.count++
}

func (r *reception) block(ssrc uint32, at time.Duration) (rtcp.ReceptionReport, bool) {
	if r.count == 0 {
		return rtcp.ReceptionReport{}, false
	}
	expected := r.sequences.Highest() - r.first + 1
	lost := min(max(int64(expected-r.count), 0), 0x7fffff)
	var fraction uint8
	if n := expected - r.expectedBefore; n > 0 {
		if missed := int64(n) - int64(r.count-r.countBefore); missed > 0 {
			fraction = uint8(min(missed*256/int64(n), 255))
		}
	}
	r.expectedBefore, r.countBefore = expected, r.count
	b := rtcp.ReceptionReport{
		SSRC: ssrc, FractionLost: fraction, TotalLost: uint32(lost),
		// The unwrapper starts a cycle above zero.
		LastSequenceNumber: uint32(r.sequences.Highest() - 1<<16),
		Jitter:             uint32(r.jitter),
	}
	if r.lastReport != 0 {
		b.LastSenderReport = r.lastReport
		b.Delay = uint32(ntpOf(at-r.reportAt) >> 16)
	}
	return b, true
}
