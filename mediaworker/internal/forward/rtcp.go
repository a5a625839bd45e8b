package forward

import (
	"encoding/binary"
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
	if first, ok := firstNamed(b); !ok || first != ssrc {
		return
	}
	if onlyTransportFeedback(b) {
		l.transportReports.Add(1)
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		l.malformed.Add(1)
		return
	}
	at := now()
	for _, p := range packets {
		l.handle(p, at)
	}
}

// firstNamed returns the first SSRC that an RTCP packet is about, as pion lists
// them; false for packets that nothing is done with. It spares reading a packet
// as often as it names an SSRC.
func firstNamed(b []byte) (ssrc uint32, ok bool) {
	if len(b) < 8 {
		return 0, false
	}
	count, at := b[0]&0x1f, 0
	switch typ := rtcp.PacketType(b[1]); {
	case typ == rtcp.TypeSenderReport && count == 0:
		at = 4 // its own
	case typ == rtcp.TypeSenderReport:
		at = 28 // of the first report block
	case typ == rtcp.TypeReceiverReport && count > 0:
		at = 8
	case typ == rtcp.TypeTransportSpecificFeedback,
		typ == rtcp.TypePayloadSpecificFeedback && count == rtcp.FormatPLI:
		at = 8
	case typ == rtcp.TypePayloadSpecificFeedback && count == rtcp.FormatFIR:
		at = 12
	case typ == rtcp.TypePayloadSpecificFeedback && count == rtcp.FormatREMB:
		at = 20
	default:
		return 0, false
	}
	if len(b) < at+4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(b[at:]), true
}

// onlyTransportFeedback says whether b is one transport-wide feedback packet. It
// is most of the RTCP that subscribers send, and only counted: it is not worth
// parsing.
func onlyTransportFeedback(b []byte) bool {
	const feedbackHeader = 20 // up to the first packet status chunk
	return len(b) >= feedbackHeader &&
		b[0]&0x1f == rtcp.FormatTCC && rtcp.PacketType(b[1]) == rtcp.TypeTransportSpecificFeedback &&
		4*(int(binary.BigEndian.Uint16(b[2:]))+1) == len(b)
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
	case *rtcp.TransportLayerCC: // in a compound
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
