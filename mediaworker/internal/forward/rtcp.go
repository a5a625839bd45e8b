package forward

import (
	"time"

	"github.com/pion/rtcp"
)

// dispatch handles RTCP that came in for an SSRC.
//
// pion's SRTCP session splits a compound and writes each packet once to the
// buffer of every SSRC that the packet names. So that it is handled once, the
// buffer of the first SSRC named handles it.
func (l *Leg) dispatch(ssrc uint32, b []byte) {
	defer func() {
		if recover() != nil { // in a subscription's writer
			l.malformed.Add(1)
		}
	}()
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		l.malformed.Add(1)
		return
	}
	at := now()
	for _, p := range packets {
		if to := p.DestinationSSRC(); len(to) > 0 && to[0] == ssrc {
			l.handle(p, at)
		}
	}
}

func (l *Leg) handle(p rtcp.Packet, at time.Duration) {
	switch p := p.(type) {
	case *rtcp.SenderReport:
		if in := l.inboundOf(p.SSRC); in != nil {
			in.report(p, at)
		}
		l.received(p.Reports, at)
	case *rtcp.ReceiverReport:
		l.received(p.Reports, at)
	case *rtcp.TransportLayerNack:
		if s := l.subscriptionOf(p.MediaSSRC); s != nil {
			s.resend(wanted(p.Nacks))
		}
	case *rtcp.PictureLossIndication:
		l.keyframeFor(p.MediaSSRC)
	case *rtcp.FullIntraRequest:
		for _, e := range p.FIR {
			l.keyframeFor(e.SSRC)
		}
	case *rtcp.TransportLayerCC:
		l.transportReports.Add(1)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		l.estimates.Add(1)
	}
}

// wanted lists the packets that a NACK asks for (RFC 4585 section 6.2.1).
func wanted(pairs []rtcp.NackPair) []uint16 {
	var sequences []uint16
	for _, pair := range pairs {
		for _, s := range pair.PacketList() {
			if len(sequences) == maxResend {
				return sequences
			}
			sequences = append(sequences, s)
		}
	}
	return sequences
}

func (l *Leg) received(blocks []rtcp.ReceptionReport, at time.Duration) {
	for _, b := range blocks {
		if s := l.subscriptionOf(b.SSRC); s != nil && b.SSRC == s.cfg.SSRC {
			if rtt := s.receive(b, at); rtt > 0 {
				l.rtt.Store(int64(rtt))
			}
		}
	}
}

func (l *Leg) keyframeFor(ssrc uint32) {
	if s := l.subscriptionOf(ssrc); s != nil {
		if e := s.target(); e != nil {
			e.requestKeyframe(now())
		}
	}
}
