package mediaworker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"switchboard/shared/ids"
	"switchboard/shared/natsconn"
)

// Config is what an operator may set of a media worker. The zero value of an
// optional key means its default; Default has every key filled in.
type Config struct {
	// Label is the operator's name for this worker; it survives restarts, while
	// the worker's id is fresh at each start. 1 to 40 of [A-Za-z0-9_-].
	Label string `yaml:"label" help:"Name of this worker; default: the host name."`
	// Region is where the worker stands, free text for placement; may be empty.
	Region string `yaml:"region" help:"Region for placement."`
	// UDP lists the media sockets as "host:port"; an empty host is every
	// interface and port 0 any free one. Clients send to these ports.
	UDP []string `yaml:"udp" help:"Media sockets, host:port; port 0 is any free one."`
	// Advertise lists what clients are told to send to: IP addresses, host names
	// (resolved once, at start) or "auto", every address of the interfaces that
	// UDP listens on.
	Advertise []string `yaml:"advertise" help:"Addresses told to clients: IPs, names, auto."`
	// ICETCP also listens on TCP, on the same port numbers, for clients whose
	// network blocks UDP (RFC 6544).
	ICETCP bool `yaml:"iceTcp" help:"Also take media over TCP on the same ports."`
	// ReceiveBuffer is the wanted SO_RCVBUF of each media socket, bytes; 0 takes
	// what the system gives.
	ReceiveBuffer int `yaml:"receiveBuffer" help:"Wanted receive buffer of a media socket, bytes; 0: the system's."`
	// MaxSessions is how many sessions the worker takes; 0 sets no limit.
	MaxSessions int `yaml:"maxSessions" help:"Most sessions at once; 0 sets no limit."`
	// DrainTimeout is how long a drain waits for the last session to end; 0
	// waits as long as it takes.
	DrainTimeout time.Duration `yaml:"drainTimeout" help:"Longest wait of a drain; 0 waits for the last session."`
	// NATS is how the worker reaches the message bus.
	NATS natsconn.Config `yaml:"nats"`
}

// Default returns the configuration of a worker that nothing was set for.
func Default() Config {
	return Config{
		Label:         defaultLabel(),
		UDP:           []string{":10000"}, // below the range of ports that systems hand out
		Advertise:     []string{"auto"},
		ICETCP:        true,
		ReceiveBuffer: 8 << 20,
		NATS:          natsconn.Default(),
	}
}

// Validate checks every key by itself and names the wrong one, what is wrong
// and what it may be. It touches neither network nor files.
func (c Config) Validate() error {
	var errs []error
	if _, err := ids.NewWorkerID(c.Label); err != nil {
		errs = append(errs, fmt.Errorf("label %q: want 1 to 40 letters, digits, '_' or '-'", c.Label))
	}
	if len(c.UDP) == 0 {
		errs = append(errs, errors.New(`udp: want at least one socket as "host:port"`))
	}
	for _, s := range c.UDP {
		if err := checkSocket(s); err != nil {
			errs = append(errs, fmt.Errorf("udp %q: %w", s, err))
		}
	}
	if len(c.Advertise) == 0 {
		errs = append(errs, errors.New(`advertise: want "auto", IP addresses or host names`))
	}
	for _, s := range c.Advertise {
		if s == "" || strings.ContainsAny(s, ":/ ") && !isIP(s) {
			errs = append(errs, fmt.Errorf(`advertise %q: want "auto", an IP address or a host name, without a port`, s))
		}
	}
	for _, n := range []struct {
		key   string
		value int64
	}{{"receiveBuffer", int64(c.ReceiveBuffer)}, {"maxSessions", int64(c.MaxSessions)}, {"drainTimeout", int64(c.DrainTimeout)}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("%s: want 0 or more", n.key))
		}
	}
	return errors.Join(append(errs, c.NATS.Validate())...)
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

func checkSocket(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New(`want "host:port", IPv6 as "[addr]:port"`)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q: want 0 to 65535", port)
	}
	if host != "" && !isIP(host) {
		return fmt.Errorf("host %q: want an IP address or nothing", host)
	}
	return nil
}

// defaultLabel is the host name with what a label may not hold replaced.
func defaultLabel() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "worker"
	}
	label := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, host)
	return label[:min(len(label), 40)]
}
