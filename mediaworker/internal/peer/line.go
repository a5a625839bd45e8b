package peer

import (
	"fmt"

	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// line is one media line of the PeerConnection.
type line struct {
	name string // inside pion, for ever
	mid  string // on the wire
	kind sdpx.Kind
	// ours: the SFU made the section, so the SFU may use it again.
	ours bool
	// ended: it has port 0 in the client's description; its place may be taken
	// by a section with another mid.
	ended bool
	// shown is the direction in which the last description showed the line to
	// the client, seen from us.
	shown sdpx.Direction
	// remote is the client's latest section.
	remote *sdpx.Section
	// content is what we last wrote into the section.
	content content
	sender  *sender // nil when we send nothing
	rtp     *webrtc.RTPSender
}

// Outgoing is a track that we send.
type Outgoing struct {
	Kind wire.Kind
	// Stream and Track are the msid of its section (RFC 8830).
	Stream, Track string
	// Codec is what the section must offer; zero for every format we have.
	Codec forward.Codec
}

// Want is what the session wants of a section.
type Want struct {
	// Receive: we take what the client sends in it.
	Receive bool
	// Send is what we send in it; nil for nothing.
	Send *Outgoing
}

func (p *Peer) byMid(mid string) *line {
	for _, l := range p.order {
		if l.mid == mid {
			return l
		}
	}
	return nil
}

// newLine names a media line for pion.
func (p *Peer) newLine(mid string, kind sdpx.Kind, ours bool) *line {
	l := &line{name: fmt.Sprintf("m%d", p.named), mid: mid, kind: kind, ours: ours}
	p.named++
	p.lines[l.name] = l
	return l
}

// transceiver is pion's end of the line, nil before pion has seen it and for
// data channels.
func (p *Peer) transceiver(l *line) *webrtc.RTPTransceiver {
	for _, t := range p.pc.GetTransceivers() {
		if t.Mid() == l.name {
			return t
		}
	}
	return nil
}

// align makes the line send what is wanted. The transceiver must exist.
func (p *Peer) align(l *line, out *Outgoing) error {
	t := p.transceiver(l)
	if t == nil {
		return nil
	}
	if out == nil {
		p.silence(l)
		return nil
	}
	if l.sender != nil && t.Sender() == l.rtp && l.sender.stream == out.Stream && l.sender.track == out.Track && !l.sender.stopped() {
		return nil
	}
	p.silence(l)
	s := &sender{kind: out.Kind, stream: out.Stream, track: out.Track}
	rtp, err := p.api.NewRTPSender(s, p.pc.SCTP().Transport())
	if err != nil {
		return fmt.Errorf("new sender: %w", err)
	}
	if err := t.SetSender(rtp, s); err != nil {
		return fmt.Errorf("set sender: %w", err)
	}
	l.sender, l.rtp = s, rtp
	return nil
}

// silence takes the line's sender away.
func (p *Peer) silence(l *line) {
	if l.rtp != nil {
		// pion complains where the client has ended the section already, after
		// it has removed the sender.
		_ = p.pc.RemoveTrack(l.rtp)
	}
	l.sender, l.rtp = nil, nil
}

// direction is how the line is shown to the client.
func (l *line) direction(want Want) sdpx.Direction {
	switch send := l.sender != nil && want.Send != nil; {
	case l.ended:
		return sdpx.Inactive
	case send && want.Receive:
		return sdpx.SendRecv
	case send:
		return sdpx.SendOnly
	case want.Receive:
		return sdpx.RecvOnly
	}
	return sdpx.Inactive
}

// restrict is the direction of our answer: not more than the client offered.
func restrict(d, offered sdpx.Direction) sdpx.Direction {
	send := d.Sends() && offered.Receives()
	receive := d.Receives() && offered.Sends()
	switch {
	case send && receive:
		return sdpx.SendRecv
	case send:
		return sdpx.SendOnly
	case receive:
		return sdpx.RecvOnly
	}
	return sdpx.Inactive
}
