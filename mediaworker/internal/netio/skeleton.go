package netio

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/pion/ice/v4"
)

// Config says where a Mux listens.
type Config struct {
	// UDP lists "host:port" listen addresses. The host is an IP address; an
	// empty or unspecified one (0.0.0.0, [::]) stands for every address of the
	// machine's interfaces (of that family), loopback included. Port 0 picks a
	// free port, the same one for all addresses whose port is 0.
	UDP []string
	// TCP also serves ICE-TCP (RFC 6544) on the same addresses and port numbers.
	TCP bool
	// ReadBuffer and WriteBuffer are the requested socket buffers, bytes;
	// 0 leaves the system's default.
	ReadBuffer, WriteBuffer int
}

// Mux shares the worker's media sockets among ICE agents.
type Mux struct{}

var _ ice.UDPMux = (*Mux)(nil)

// Listen opens the sockets and starts reading.
func Listen(Config) (*Mux, error) { return nil, errors.New("netio: no listen address") }

// GetConn returns the connection of an agent on one listen address.
func (m *Mux) GetConn(ufrag string, addr net.Addr) (net.PacketConn, error) { return nil, net.ErrClosed }

// RemoveConnByUfrag forgets an agent.
func (m *Mux) RemoveConnByUfrag(ufrag string) {}

// GetListenAddresses lists the UDP addresses the Mux listens on.
func (m *Mux) GetListenAddresses() []net.Addr { return nil }

// Addresses lists the UDP addresses the Mux listens on.
func (m *Mux) Addresses() []netip.AddrPort { return nil }

// Close closes the sockets and waits for the loops.
func (m *Mux) Close() error { return nil }

// TCPMux is the ICE-TCP side, nil when off.
func (m *Mux) TCPMux() ice.TCPMux { return nil }

// Hold keeps early checks for this ufrag until Release.
func (m *Mux) Hold(ufrag string) {}

// Release hands the kept checks over.
func (m *Mux) Release(ufrag string) {}

// UfragStats counts what arrived for one agent.
type UfragStats struct {
	STUNRequests, STUNOther, DTLSPackets, MediaPackets uint64
	// Sent counts datagrams written by the agent.
	Sent uint64
	// Held counts checks kept by Hold, Dropped datagrams lost to full queues.
	Held, Dropped uint64
	// FirstArrival is when the first datagram came, zero if none did.
	FirstArrival time.Time
}

// Stats returns the counters of one agent; ok is false for an unknown ufrag.
func (m *Mux) Stats(ufrag string) (stats UfragStats, ok bool) { return UfragStats{}, false }

// Counters are the totals of a Mux.
type Counters struct {
	Received, Sent, STUNRequests, UnknownUfrag, UnknownAddress, Malformed, Oversized, Dropped, ReadErrors, WriteErrors uint64
	FirstArrival                                                                                                      time.Time
}

// Counters returns the totals.
func (m *Mux) Counters() Counters { return Counters{} }

// Buffer is what the system granted of a requested socket buffer.
type Buffer struct {
	Address            netip.AddrPort
	Requested, Granted int
	// Sysctl is the command that lifts the limit, empty when enough was granted.
	Sysctl string
}

// Buffers reports the socket buffers.
func (m *Mux) Buffers() []Buffer { return nil }
