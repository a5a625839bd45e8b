package rtcclient

import (
	"fmt"
	"net"
	"sync/atomic"
)

// receiveBuffer is the wanted SO_RCVBUF of a client's socket, bytes: packets
// that the kernel drops for a slow test process would count as lost.
const receiveBuffer = 4 << 20

// socket is a client's UDP socket, which can lose datagrams on purpose.
type socket struct {
	net.PacketConn
	drop     filter // incoming
	dropSent filter // outgoing
}

// filter says which datagrams are lost.
type filter struct {
	lose atomic.Pointer[func(datagram []byte) bool]
}

func (f *filter) set(lose func(datagram []byte) bool) {
	if lose == nil {
		f.lose.Store(nil)
		return
	}
	f.lose.Store(&lose)
}

func (f *filter) loses(datagram []byte) bool {
	lose := f.lose.Load()
	return lose != nil && (*lose)(datagram)
}

// IsRTP says whether a datagram is (S)RTP, by RFC 7983 and RFC 5761.
func IsRTP(datagram []byte) bool {
	return len(datagram) >= 12 && datagram[0]&0xc0 == 0x80 && (datagram[1] < 192 || datagram[1] > 223)
}

func listen() (*socket, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("client socket: %w", err)
	}
	// A smaller buffer than wanted only matters under load, where the account shows it.
	_ = conn.SetReadBuffer(receiveBuffer)
	return &socket{PacketConn: conn}, nil
}

// ReadFrom hides what drop refuses.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		if !s.drop.loses(b[:n]) {
			return n, from, nil
		}
	}
}

// WriteTo loses what dropSent refuses.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.dropSent.loses(b) {
		return len(b), nil
	}
	return s.PacketConn.WriteTo(b, to)
}
