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
	*net.UDPConn
	drop atomic.Pointer[func(datagram []byte) bool]
}

func listen() (*socket, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("client socket: %w", err)
	}
	// A smaller buffer than wanted only matters under load, where the account shows it.
	_ = conn.SetReadBuffer(receiveBuffer)
	return &socket{UDPConn: conn}, nil
}

// ReadFrom hides what drop refuses.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.UDPConn.ReadFrom(b)
		if err != nil {
			return n, from, err
		}
		if drop := s.drop.Load(); drop == nil || !(*drop)(b[:n]) {
			return n, from, nil
		}
	}
}
