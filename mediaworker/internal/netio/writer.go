package netio

import (
	"net"
	"net/netip"
)

// writer sends datagrams from one socket. A full socket buffer makes it wait
// for the network card. Safe for concurrent use.
type writer interface {
	// write sends one datagram.
	write(b []byte, to netip.AddrPort) (int, error)
	// writeBatch sends a batch's datagrams in their order. runs says that
	// several may be given to the kernel as one message for it to cut up.
	writeBatch(b *batch, runs bool) batchResult
}

// batchResult is what became of a batch.
type batchResult struct {
	// messages were sent, with all datagrams but the lost ones.
	messages, lost int
	// refused: the system does not send runs to this address.
	refused bool
}

// singleWriter makes one system call per datagram; it works everywhere.
type singleWriter struct{ conn *net.UDPConn }

func (w singleWriter) write(b []byte, to netip.AddrPort) (int, error) {
	return w.conn.WriteToUDPAddrPort(b, to)
}

func (w singleWriter) writeBatch(b *batch, _ bool) batchResult {
	var r batchResult
	for i := range b.count {
		if _, err := w.write(b.datagram(i), b.to); err != nil {
			r.lost++
		} else {
			r.messages++
		}
	}
	return r
}
