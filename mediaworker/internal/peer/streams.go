package peer

import (
	"maps"

	"github.com/pion/rtp"
)

// Streams is what a peer has learned of its client's streams, by SSRC. A client
// names a stream in its first packets only, until it has heard that they came:
// when a fresh peer takes over, it has to be told.
type Streams map[uint32]identity

// identity is the section and the layer that a stream belongs to.
type identity struct {
	mid, rid string
	repairs  bool // it carries retransmissions of that layer
}

// maxStreams bounds what is remembered of one client.
const maxStreams = 1024

// Streams returns what the peer knows, also of streams that have ended with its
// transport.
func (p *Peer) Streams() Streams {
	p.demux.mu.Lock()
	defer p.demux.mu.Unlock()
	return maps.Clone(p.demux.known)
}

// Recall tells the peer what a former peer of the same client knew. What packets
// and descriptions say goes before it.
func (p *Peer) Recall(known Streams) {
	p.demux.mu.Lock()
	defer p.demux.mu.Unlock()
	maps.Copy(p.demux.known, known)
}

// learn remembers a stream in place of a former one of the same identity.
func (s Streams) learn(ssrc uint32, id identity) {
	if s[ssrc] == id {
		return
	}
	maps.DeleteFunc(s, func(_ uint32, other identity) bool { return other == id })
	if len(s) < maxStreams {
		s[ssrc] = id
	}
}

// repairOf is the stream with the retransmissions of a layer, or 0.
func (s Streams) repairOf(mid, rid string) uint32 {
	for ssrc, id := range s {
		if id.repairs && id.mid == mid && id.rid == rid {
			return ssrc
		}
	}
	return 0
}

// identify finds out which section and layer the stream is. It reports whether
// the stream repairs another one, which the leg sorts out by itself.
func (d *demux) identify(in *ingress, raw []byte) (repairs bool) {
	if mid, ok := d.declared[in.ssrc]; ok {
		in.mid = mid
		return false
	}
	var h rtp.Header
	if _, err := h.Unmarshal(raw); err != nil {
		return false
	}
	mid, rid := string(h.GetExtension(d.mid)), string(h.GetExtension(d.rid))
	if repaired := h.GetExtension(d.repaired); d.repaired != 0 && len(repaired) > 0 {
		d.known.learn(in.ssrc, identity{mid: mid, rid: string(repaired), repairs: true})
		return true
	}
	section := d.byPayloadType(h.PayloadType)
	if d.mid != 0 && mid != "" {
		section = d.sections[mid]
	}
	if section == nil || len(section.RIDs) > 0 && rid == "" {
		id := d.known[in.ssrc] // if it is not, the next packets may name it
		if !id.repairs {
			in.mid, in.rid = id.mid, id.rid
		}
		return id.repairs
	}
	in.mid, in.rid = section.Mid, rid
	d.known.learn(in.ssrc, identity{mid: in.mid, rid: rid})
	return false
}
