package forward

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"

	"switchboard/mediaworker/internal/packet"
)

const (
	// reportEvery is the interval of sender and receiver reports.
	reportEvery = time.Second
	// retryReport is when a sender report is tried again that met a packet being
	// written.
	retryReport = 20 * time.Millisecond
	// transportEvery is the interval of transport-wide feedback, and
	// transportMost the packets after which it does not wait.
	transportEvery = 100 * time.Millisecond
	transportMost  = 100
	// maxBlocks is how many report blocks fit a receiver report (RFC 3550
	// section 6.4.2).
	maxBlocks = 31
)

// schedule is when the periodic reports were last sent. Only Leg.run touches it.
type schedule struct{ transport, reports time.Duration }

// due says whether transport-wide feedback and reports are to be sent now, and
// counts them as sent.
func (s *schedule) due(at time.Duration) (transport, reports bool) {
	if transport = at-s.transport >= transportEvery; transport {
		s.transport = at
	}
	if reports = at-s.reports >= reportEvery; reports {
		s.reports = at
	}
	return transport, reports
}

// arrivals records transport-wide sequence numbers as they come in.
type arrivals struct {
	id atomic.Uint32 // of the extension, 0: not negotiated

	mu       sync.Mutex // guards what follows
	recorder *twcc.Recorder
}

// SetTransportCC gives the id of the transport-wide sequence number extension
// of incoming packets; the leg then sends transport-wide feedback. 0 stops it.
func (l *Leg) SetTransportCC(id uint8) {
	l.arrivals.id.Store(uint32(id))
	l.wake()
}

// record notes the arrival of p for the transport-wide feedback.
func (l *Leg) record(p *packet.Packet) {
	id := l.arrivals.id.Load()
	if id == 0 {
		return
	}
	value := p.Extension(uint8(id))
	if len(value) < 2 {
		return
	}
	a := &l.arrivals
	a.mu.Lock()
	if a.recorder == nil {
		a.recorder = twcc.NewRecorder(l.ssrc)
	}
	a.recorder.Record(p.SSRC, binary.BigEndian.Uint16(value), p.Arrival.Microseconds())
	full := a.recorder.PacketsHeld() == transportMost
	a.mu.Unlock()
	if full {
		l.wake()
	}
}

// feedback returns what is to be reported now.
func (a *arrivals) feedback(due bool) []rtcp.Packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.recorder == nil || a.recorder.PacketsHeld() == 0 {
		return nil
	}
	if !due && a.recorder.PacketsHeld() < transportMost {
		return nil
	}
	return a.recorder.BuildFeedbackPacket()
}

// post sends p soon, from the leg's own goroutine.
func (l *Leg) post(p rtcp.Packet) { l.tick.post(p) }

// wake looks soon for something to report.
func (l *Leg) wake() { l.tick.wake() }

// run sends what is due, and says how long it can wait then; 0 is for ever. It
// is called by one goroutine at a time. A round that panics is left.
func (l *Leg) run() (wait time.Duration) {
	defer func() {
		if r := recover(); r != nil {
			wait = reportEvery
			if l.cfg.Panicked != nil {
				l.cfg.Panicked(r)
			}
		}
	}()
	at := now()
	sooner := func(d time.Duration) {
		if wait == 0 || d < wait {
			wait = d
		}
	}
	streams, subscriptions := l.receiving(), l.sending()
	for _, in := range streams {
		if d, ok := in.feed.chase(at); ok {
			sooner(d)
		}
	}
	for _, p := range l.tick.posted() {
		l.writeRTCP(p)
	}
	transport, report := l.schedule.due(at)
	for _, p := range l.arrivals.feedback(transport) {
		l.writeRTCP(p)
	}
	if report {
		l.reportReception(streams, at)
	}
	for _, s := range subscriptions {
		if !report && s.reported.Load() {
			continue
		}
		sr, busy := s.senderReport(at)
		if busy {
			s.reported.Store(false)
			sooner(retryReport)
		}
		if sr != nil {
			l.writeRTCP(sr, l.description(sr.SSRC))
		}
	}
	if len(streams)+len(subscriptions) > 0 {
		sooner(l.schedule.reports + reportEvery - at)
	}
	if len(streams) > 0 && l.arrivals.id.Load() != 0 {
		sooner(l.schedule.transport + transportEvery - at)
	}
	return wait
}

// reportReception sends receiver reports of the streams.
func (l *Leg) reportReception(streams []*inbound, at time.Duration) {
	var blocks []rtcp.ReceptionReport
	for _, in := range streams {
		if b, ok := in.receptionReport(at); ok {
			blocks = append(blocks, b)
		}
	}
	for len(blocks) > 0 {
		n := min(len(blocks), maxBlocks)
		l.writeRTCP(&rtcp.ReceiverReport{SSRC: l.ssrc, Reports: blocks[:n]})
		blocks = blocks[n:]
	}
}

// description names the source of a sender report.
func (l *Leg) description(ssrc uint32) rtcp.Packet {
	return rtcp.NewCNAMESourceDescription(ssrc, l.cfg.CNAME)
}

// writeRTCP sends one compound. Until the peer is connected there is nobody to
// hear it, and a failed write is a lost packet like any other.
func (l *Leg) writeRTCP(packets ...rtcp.Packet) {
	if l.cfg.WriteRTCP != nil {
		_ = l.cfg.WriteRTCP(packets)
	}
}
