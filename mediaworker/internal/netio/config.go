package netio

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"syscall"

	"github.com/pion/ice/v4"
	"github.com/pion/logging"
)

// Config says where a Mux listens.
type Config struct {
	// UDP lists "host:port" listen addresses, at least one. The host is an IP
	// address; an empty or unspecified one ("", 0.0.0.0, [::]) stands for every
	// address of the machine's running interfaces (for 0.0.0.0 and [::]: of
	// that family), loopback included, link-local left out, one socket each.
	// Port 0 picks one free port for all addresses whose port is 0.
	UDP []string
	// TCP also serves ICE-TCP (RFC 6544) on the same addresses and port
	// number; all addresses must then have the same port.
	TCP bool
	// ReadBuffer and WriteBuffer are the requested socket buffers, bytes; 0
	// leaves the system's default. See Buffers for what was granted.
	ReadBuffer, WriteBuffer int
	// LoggerFactory is for pion's ICE-TCP side; nil logs its errors only.
	LoggerFactory logging.LoggerFactory
}

// portAttempts bounds the search for a port that is free on all addresses.
const portAttempts = 32

// errPortTaken: a picked port is not free on another address.
var errPortTaken = errors.New("netio: port taken")

// Listen opens the sockets and starts reading. The caller closes the Mux.
func Listen(cfg Config) (*Mux, error) {
	targets, err := expand(cfg.UDP)
	if err != nil {
		return nil, err
	}
	for range portAttempts {
		m, err := listenOnce(cfg, targets)
		if errors.Is(err, errPortTaken) {
			continue
		}
		return m, err
	}
	return nil, fmt.Errorf("netio: no port is free on all of %v: name one", cfg.UDP)
}

// target is one address to listen on.
type target struct {
	address netip.AddrPort
	// discovered: it comes from an interface, which may refuse it (an IPv6
	// address whose uniqueness is not yet known) without harm.
	discovered bool
}

// expand resolves listen addresses, without duplicates, in the given order.
func expand(listen []string) ([]target, error) {
	var targets []target
	add := func(t target) {
		if !slices.ContainsFunc(targets, func(o target) bool { return o.address == t.address }) {
			targets = append(targets, t)
		}
	}
	for _, l := range listen {
		host, portText, err := net.SplitHostPort(l)
		if err != nil {
			return nil, fmt.Errorf("netio: listen address %q is not host:port: %w", l, err)
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("netio: listen address %q: the port is a number from 0 to 65535", l)
		}
		var ip netip.Addr
		if host != "" {
			if ip, err = netip.ParseAddr(host); err != nil {
				return nil, fmt.Errorf("netio: listen address %q: the host is an IP address or empty: %w", l, err)
			}
			ip = ip.Unmap()
		}
		switch {
		case !ip.IsValid() || ip.IsUnspecified():
			found, err := interfaceAddresses(ip)
			if err != nil {
				return nil, err
			}
			for _, a := range found {
				add(target{netip.AddrPortFrom(a, uint16(port)), true})
			}
		case ip.IsMulticast() || ip.IsLinkLocalUnicast():
			return nil, fmt.Errorf("netio: listen address %q: clients cannot reach a link-local or multicast address", l)
		default:
			add(target{netip.AddrPortFrom(ip, uint16(port)), false})
		}
	}
	if len(targets) == 0 {
		return nil, fmt.Errorf("netio: no listen address in %q", listen)
	}
	return targets, nil
}

// interfaceAddresses lists the usable addresses of running interfaces of the
// family of unspecified, or of both families when it is the zero Addr.
func interfaceAddresses(unspecified netip.Addr) ([]netip.Addr, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("netio: list interfaces: %w", err)
	}
	var found []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // the interface has just gone
		}
		for _, a := range addresses {
			prefix, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			ip := prefix.Addr().Unmap()
			if ip.IsLinkLocalUnicast() || unspecified.IsValid() && ip.Is4() != unspecified.Is4() {
				continue
			}
			found = append(found, ip)
		}
	}
	return found, nil
}

// listenOnce opens all sockets, or none.
func listenOnce(cfg Config, targets []target) (*Mux, error) {
	m := &Mux{
		done:     make(chan struct{}),
		agents:   map[string]*agent{},
		egresses: map[string]*Egress{},
		ended:    map[string]UfragStats{},
	}
	if err := m.open(cfg, targets); err != nil {
		for _, s := range m.sockets {
			_ = s.conn.Close() // nothing was read or written yet
		}
		return nil, err
	}
	for _, s := range m.sockets {
		m.loops.Add(1)
		go s.loop()
	}
	return m, nil
}

func (m *Mux) open(cfg Config, targets []target) error {
	picked := uint16(0)
	for _, t := range targets {
		address := t.address
		if address.Port() == 0 {
			address = netip.AddrPortFrom(address.Addr(), picked)
		}
		s, err := listenUDP(cfg, address)
		switch {
		case err == nil:
		case t.discovered && errors.Is(err, syscall.EADDRNOTAVAIL):
			continue
		case t.address.Port() == 0 && errors.Is(err, syscall.EADDRINUSE):
			return errPortTaken
		default:
			return fmt.Errorf("netio: listen on UDP %v: %w", address, err)
		}
		if t.address.Port() == 0 {
			picked = s.address.Port()
		}
		s.mux, s.index = m, len(m.sockets)
		m.sockets = append(m.sockets, s)
	}
	if len(m.sockets) == 0 {
		return fmt.Errorf("netio: none of %d interface addresses can be used", len(targets))
	}
	if !cfg.TCP {
		return nil
	}
	return m.openTCP(cfg, targets[0].address.Port() == 0)
}

// openTCP adds the ICE-TCP side.
func (m *Mux) openTCP(cfg Config, picked bool) error {
	listener, err := listenTCP(m.Addresses())
	if err != nil {
		if picked && errors.Is(err, syscall.EADDRINUSE) {
			return errPortTaken
		}
		return err
	}
	factory := cfg.LoggerFactory
	if factory == nil {
		quiet := logging.NewDefaultLoggerFactory()
		quiet.DefaultLogLevel = logging.LogLevelError
		factory = quiet
	}
	m.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener:             listener,
		Logger:               factory.NewLogger("ice-tcp"),
		ReadBufferSize:       tcpReadQueue,
		WriteBufferSize:      tcpWriteBuffer,
		FirstStunBindTimeout: tcpFirstCheck,
		// Every agent is known before its client is: a connection for an unknown
		// one has no reason to wait.
		AliveDurationForConnFromStun: tcpFirstCheck,
	})
	return nil
}

func listenUDP(cfg Config, address netip.AddrPort) (*socket, error) {
	network := "udp4"
	if address.Addr().Is6() {
		network = "udp6"
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(address))
	if err != nil {
		return nil, err
	}
	s := &socket{conn: udp, remotes: map[netip.AddrPort]*conn{}}
	s.address = unmapped(udp.LocalAddr().(*net.UDPAddr).AddrPort())
	s.udpAddr = net.UDPAddrFromAddrPort(s.address)
	if s.buffer, err = sizeBuffers(udp, s.address, cfg.ReadBuffer, cfg.WriteBuffer); err != nil {
		_ = udp.Close()
		return nil, err
	}
	if s.reader, err = newReader(udp); err != nil {
		_ = udp.Close()
		return nil, err
	}
	if s.writer, err = newWriter(udp); err != nil {
		_ = udp.Close()
		return nil, err
	}
	return s, nil
}
