package netio

import (
	"net/netip"
	"sync"
)

// packetSize is the room for one datagram. WebRTC stacks keep to the path MTU,
// so that a datagram that fills it is noise; it is dropped and counted.
const packetSize = 2048

// packet is one received datagram. It has one owner at a time: the reader's
// batch, then an agent's held checks or a conn's queue, then the pool again.
type packet struct {
	from netip.AddrPort
	n    int
	data [packetSize]byte
}

func (p *packet) bytes() []byte { return p.data[:p.n] }

var packets = sync.Pool{New: func() any { return new(packet) }}

func newPacket() *packet { return packets.Get().(*packet) }

func (p *packet) recycle() { packets.Put(p) }
