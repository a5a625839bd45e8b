package netio

import "net"

// singleReader takes one datagram per system call; it works everywhere.
type singleReader struct{ conn *net.UDPConn }

func (r singleReader) read(batch []*packet) (int, error) {
	p := batch[0]
	n, from, err := r.conn.ReadFromUDPAddrPort(p.data[:])
	if err != nil {
		return 0, err
	}
	p.n, p.from = n, unmapped(from)
	return 1, nil
}
