package peer

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/pion/transport/v4/packetio"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
)

// demux gives the client's streams to publications. It knows a stream by the
// SSRCs that the client's description declares, else by the mid and rid
// extensions of its packets (RFC 8843 section 9.2), else from a former peer. Safe for concurrent use:
// packets come on pion's read loop, everything else from the session.
type demux struct {
	leg *forward.Leg
	// flooded is called when the client has too many streams, with mu held, and
	// must not block.
	flooded func()
	// panicked is told of a panic over a packet; may be nil.
	panicked func(value any)

	mu           sync.Mutex // guards what follows
	open         int        // buffers that pion holds
	sections     map[string]*sdpx.Section
	declared     map[uint32]string // SSRC → mid, of sections without rids
	repair       map[uint32]bool   // SSRCs of declared retransmissions
	mid, rid     uint8             // extension ids, 0 if not negotiated
	repaired     uint8
	publications map[string]*forward.Publication // by mid
	streams      map[uint32]*ingress             // with a stream that is open
	known        Streams
}

// maxBuffers bounds the streams of one peer: the SSRCs that its client sends
// and those that its RTCP names. pion keeps state of each for the peer's life.
const maxBuffers = 8192

func newDemux(leg *forward.Leg, flooded func()) *demux {
	return &demux{
		leg: leg, flooded: flooded,
		publications: make(map[string]*forward.Publication), streams: make(map[uint32]*ingress),
		known: make(Streams),
	}
}

// buffer is pion's buffer factory: what pion decrypts goes to the leg, and
// pion's own readers see the end of the stream at once.
func (d *demux) buffer(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == maxBuffers {
		d.flooded()
		return nowhere{}
	}
	d.open++
	if kind == packetio.RTCPBufferPacket {
		return &control{ReadWriteCloser: d.leg.Buffer(ssrc, true), demux: d, ssrc: ssrc}
	}
	in := &ingress{demux: d, ssrc: ssrc, leg: d.leg.Buffer(ssrc, false)}
	d.streams[ssrc] = in
	return in
}

// nowhere is the buffer of a stream too many.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Read([]byte) (int, error)    { return 0, io.EOF }
func (nowhere) Close() error                { return nil }

// control is where RTCP for one SSRC comes in.
type control struct {
	io.ReadWriteCloser
	demux *demux
	ssrc  uint32
	once  sync.Once
}

// Close is called by pion when it has stopped the sender of this SSRC, whose
// numbers nobody will continue, or with the transport.
func (c *control) Close() error {
	c.once.Do(func() {
		c.demux.mu.Lock()
		c.demux.open--
		c.demux.mu.Unlock()
		c.demux.leg.Retire(c.ssrc)
	})
	return c.ReadWriteCloser.Close()
}

// describe takes the client's description: what its streams belong to from now on.
func (d *demux) describe(description *sdpx.Description) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sections = make(map[string]*sdpx.Section, len(description.Sections))
	d.declared, d.repair = make(map[uint32]string), make(map[uint32]bool)
	for i := range description.Sections {
		s := &description.Sections[i]
		if !s.Live() || !s.Direction.Sends() {
			continue
		}
		d.sections[s.Mid] = s
		d.learnExtensions(s)
		if len(s.RIDs) > 0 {
			continue
		}
		for _, source := range s.Sources {
			d.declared[source.SSRC] = s.Mid
			if source.RTX != 0 {
				d.repair[source.RTX] = true
			}
		}
	}
	for ssrc, in := range d.streams {
		if mid, ok := d.declared[ssrc]; ok && in.mid != "" && in.mid != mid {
			in.unbind()
			in.mid, in.rid = "", "" // it moved: its next packet is looked at anew
		}
	}
}

// learnExtensions notes the ids under which packets name their section. They
// are the same in all sections of a bundle (RFC 8843 section 9.1).
func (d *demux) learnExtensions(s *sdpx.Section) {
	for _, e := range s.Extensions {
		switch e.URI {
		case forward.URIMid:
			d.mid = uint8(e.ID)
		case forward.URIStreamID:
			d.rid = uint8(e.ID)
		case forward.URIRepairedID:
			d.repaired = uint8(e.ID)
		}
	}
}

// publish makes p the destination of the section's streams, present and future.
func (d *demux) publish(mid string, p *forward.Publication) {
	d.mu.Lock()
	defer d.mu.Unlock()
	repeated := d.publications[mid] == p
	d.publications[mid] = p
	for _, in := range d.streams {
		// A push repeated by a client that missed the answer must not disturb
		// the stream: binding it anew would lose packets and count as a switch.
		if in.mid != mid || repeated && in.state.Load() == streamBound {
			continue
		}
		in.unbind()
		d.bind(in)
	}
}

// unpublish drops the section's packets from now on.
func (d *demux) unpublish(mid string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.publications, mid)
	for _, in := range d.streams {
		if in.mid == mid {
			in.unbind()
		}
	}
}

// admit decides about a packet of a stream that is not bound: whether it goes
// to the leg.
func (d *demux) admit(in *ingress, raw []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	in.payloadType = raw[1] & 0x7f
	if d.repair[in.ssrc] {
		in.state.Store(streamBound)
		return true
	}
	if in.mid == "" {
		if repairs := d.identify(in, raw); repairs {
			return true
		}
	}
	return d.bind(in)
}

// byPayloadType finds the only section that sends this payload type, as a
// client without the mid extension leaves no other way (RFC 8843 section 9.2).
func (d *demux) byPayloadType(pt uint8) *sdpx.Section {
	var found *sdpx.Section
	for _, s := range d.sections {
		for _, c := range s.Codecs {
			if c.PayloadType != pt {
				continue
			}
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// bind connects the stream to its section's publication, if there is one.
func (d *demux) bind(in *ingress) bool {
	p, section := d.publications[in.mid], d.sections[in.mid]
	if in.mid == "" || p == nil || section == nil {
		return false
	}
	stream := forward.Stream{SSRC: in.ssrc, Mid: in.mid, RID: in.rid, Extensions: extensionIDs(section)}
	codec, ok := streamCodec(section, in.payloadType)
	if !ok {
		return false
	}
	stream.Codec = codec
	for _, source := range section.Sources {
		if source.SSRC == in.ssrc {
			stream.RTXSSRC = source.RTX
		}
	}
	if stream.RTXSSRC == 0 {
		stream.RTXSSRC = d.known.repairOf(in.mid, in.rid)
	}
	feedback := feedbackOf(section, codec.PayloadType)
	stream.NoNACK, stream.FIROnly = !feedback["nack"], !feedback["nack pli"]
	if err := d.leg.Bind(p, stream); err != nil {
		return false
	}
	in.state.Store(streamBound)
	return true
}

// forget drops a stream that pion closed.
func (d *demux) forget(in *ingress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.streams[in.ssrc] == in {
		delete(d.streams, in.ssrc)
		d.open--
	}
}

// minHeader is the size of an RTP header without extensions, bytes.
const minHeader = 12

const (
	streamUnbound int32 = iota
	streamBound
)

// ingress is one incoming SSRC.
type ingress struct {
	demux *demux
	ssrc  uint32
	leg   io.ReadWriteCloser
	state atomic.Int32

	// Under demux.mu: the section and layer once they are known, and the payload
	// type of the last packet that came while the stream was not bound.
	mid, rid    string
	payloadType uint8
}

// Write takes one decrypted packet on pion's read loop. One that makes it panic
// is lost.
func (in *ingress) Write(p []byte) (int, error) {
	defer func() {
		if r := recover(); r != nil && in.demux.panicked != nil {
			in.demux.panicked(r)
		}
	}()
	if in.state.Load() == streamUnbound {
		if len(p) < minHeader {
			return len(p), nil
		}
		if !in.demux.admit(in, p) {
			return len(p), nil
		}
	}
	return in.leg.Write(p)
}

// Read ends at once: pion's receivers have nothing to do.
func (in *ingress) Read([]byte) (int, error) { return 0, io.EOF }

// Close is called by pion when the stream left the description.
func (in *ingress) Close() error {
	in.demux.forget(in)
	in.demux.leg.Unbind(in.ssrc)
	return in.leg.Close()
}

// unbind drops the stream's packets until it is bound again. Under demux.mu.
func (in *ingress) unbind() {
	if in.state.Swap(streamUnbound) == streamBound {
		in.demux.leg.Unbind(in.ssrc)
	}
}

// streamCodec is the format of the stream: that of its packets' payload type.
func streamCodec(section *sdpx.Section, pt uint8) (forward.Codec, bool) {
	for _, c := range section.Codecs {
		if c.PayloadType == pt {
			return asForward(section, c), true
		}
	}
	return forward.Codec{}, false
}

func feedbackOf(section *sdpx.Section, pt uint8) map[string]bool {
	set := make(map[string]bool)
	for _, c := range section.Codecs {
		if c.PayloadType == pt {
			for _, f := range c.Feedback {
				set[f] = true
			}
		}
	}
	return set
}
