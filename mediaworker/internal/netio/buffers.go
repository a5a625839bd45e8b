package netio

import (
	"fmt"
	"net"
	"net/netip"
)

// Buffer says what the system granted of the requested socket buffers, bytes.
type Buffer struct {
	// Address of the socket.
	Address                      netip.AddrPort
	ReadRequested, ReadGranted   int
	WriteRequested, WriteGranted int
}

// Sysctl returns the commands that lift the system's limit so that the whole
// request is granted at the next start; empty when it was granted now.
func (b Buffer) Sysctl() string {
	read, write := b.ReadGranted < b.ReadRequested, b.WriteGranted < b.WriteRequested
	switch {
	case read && write:
		return fmt.Sprintf("sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d", b.ReadRequested, b.WriteRequested)
	case read:
		return fmt.Sprintf("sysctl -w net.core.rmem_max=%d", b.ReadRequested)
	case write:
		return fmt.Sprintf("sysctl -w net.core.wmem_max=%d", b.WriteRequested)
	}
	return ""
}

// Buffers reports the buffers of each socket, in the order of Addresses. A
// system that grants less than asked loses bursts; Sysctl says what to do.
func (m *Mux) Buffers() []Buffer {
	buffers := make([]Buffer, len(m.sockets))
	for i, s := range m.sockets {
		buffers[i] = s.buffer
	}
	return buffers
}

// sizeBuffers requests the buffers and reads back what was granted: the call
// succeeds even where the system clamps the size.
func sizeBuffers(conn *net.UDPConn, address netip.AddrPort, read, write int) (Buffer, error) {
	b := Buffer{Address: address, ReadRequested: read, WriteRequested: write}
	if read > 0 {
		if err := conn.SetReadBuffer(read); err != nil {
			return b, fmt.Errorf("netio: set read buffer of %v: %w", address, err)
		}
	}
	if write > 0 {
		if err := conn.SetWriteBuffer(write); err != nil {
			return b, fmt.Errorf("netio: set write buffer of %v: %w", address, err)
		}
	}
	var err error
	if b.ReadGranted, b.WriteGranted, err = grantedBuffers(conn); err != nil {
		return b, fmt.Errorf("netio: read back buffers of %v: %w", address, err)
	}
	return b, nil
}
