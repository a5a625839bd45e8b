package forward

import (
	"time"

	"github.com/pion/rtcp"

	"switchboard/mediaworker/internal/munge"
)

// reports is what a subscriber reported, and what it takes to read that.
// Guarded by Subscription.mu.
type reports struct {
	loss float64
	lost uint32
	rtt  time.Duration
	sent [4]sentReport // the last sender reports
	next int           // index in sent
}

type sentReport struct {
	middle uint32 // middle 32 bits of its NTP time
	at     time.Duration
}

// middle returns the middle 32 bits of a 64-bit NTP time.
func middle(ntp uint64) uint32 { return uint32(ntp >> 16) }

// ntpOf returns d in the 32.32 fixed point of NTP.
func ntpOf(d time.Duration) uint64 {
	seconds, rest := d/time.Second, d%time.Second
	return uint64(seconds)<<32 + uint64(rest)<<32/uint64(time.Second)
}

// senderReport returns the publisher's report of the layer that is being sent,
// brought forward to the given time and moved to the outgoing timestamps; nil if
// the publisher has not reported yet. While packets are being written it reports
// busy and does not wait, because the writer may be blocked.
func (s *Subscription) senderReport(at time.Duration) (sr *rtcp.SenderReport, busy bool) {
	if !s.egress.mu.TryLock() {
		return nil, true
	}
	current, sending := s.egress.munger.Current()
	offset, _ := s.egress.munger.Offset()
	packets, octets := s.egress.packets, s.egress.octets
	s.egress.mu.Unlock()

	t := s.source.Load()
	if t == nil || !sending || s.closed.Load() {
		return nil, false
	}
	l := t.publication.at(int(current.Layer))
	if l == nil {
		return nil, false
	}
	r := l.clock.Load()
	if r == nil || r.Stream != current.Stream {
		return nil, false
	}
	elapsed := at - r.Arrival
	sr = &rtcp.SenderReport{
		SSRC:        s.cfg.SSRC,
		NTPTime:     r.NTP + ntpOf(elapsed),
		RTPTime:     r.RTP + munge.Ticks(elapsed, l.wallClock(current.Stream).Rate) + offset,
		PacketCount: packets,
		OctetCount:  octets,
	}
	s.mu.Lock()
	s.reports.sent[s.reports.next] = sentReport{middle: middle(sr.NTPTime), at: at}
	s.reports.next = (s.reports.next + 1) % len(s.reports.sent)
	s.mu.Unlock()
	s.reported.Store(true)
	return sr, false
}

// receive reads the subscriber's report (RFC 3550 section 6.4.1) and returns
// the round trip, or 0 if it does not say.
func (s *Subscription) receive(r rtcp.ReceptionReport, at time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports.loss, s.reports.lost = float64(r.FractionLost)/256, r.TotalLost
	if r.LastSenderReport == 0 {
		return 0
	}
	for _, sent := range s.reports.sent {
		if sent.middle != r.LastSenderReport {
			continue
		}
		held := time.Duration(uint64(r.Delay) * uint64(time.Second) >> 16)
		if rtt := at - sent.at - held; rtt > 0 {
			s.reports.rtt = rtt
			return rtt
		}
	}
	return 0
}
