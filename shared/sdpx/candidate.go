package sdpx

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Candidate is one host candidate of ours.
type Candidate struct {
	// Address that clients send to.
	Address netip.AddrPort
	// TCP: a passive ICE-TCP candidate (RFC 6544), else UDP.
	TCP bool
}

// value is the a=candidate value of the index-th candidate of a list; earlier
// ones get a higher priority (RFC 8445 section 5.1.2.1, RFC 6544 section 4.2).
func (c Candidate) value(index int) string {
	const (
		hostUDP   = 126 // type preferences
		hostTCP   = 99  // below every UDP candidate
		passive   = 4 << 13
		component = 1
	)
	address := fmt.Sprintf("%s %d", c.Address.Addr().Unmap(), c.Address.Port())
	if c.TCP {
		priority := hostTCP<<24 | (passive+max(8191-index, 0))<<8 | (256 - component)
		return fmt.Sprintf("%d %d tcp %d %s typ host tcptype passive", index+1, component, priority, address)
	}
	priority := hostUDP<<24 | max(65535-index, 0)<<8 | (256 - component)
	return fmt.Sprintf("%d %d udp %d %s typ host", index+1, component, priority, address)
}

// usableCandidate reports whether an a=candidate value (RFC 8839 section 5.1)
// is one that an agent can use. It is stricter than pion's reader: pion
// refuses a whole description over a candidate that this function would pass
// and pion would not.
func usableCandidate(value string) bool {
	f := strings.Split(value, " ")
	if len(f) < 8 || slices.Contains(f, "") || f[6] != "typ" {
		return false
	}
	foundation, component, transport, priority, address, port := f[0], f[1], f[2], f[3], f[4], f[5]
	if len(foundation) > 32 || strings.ContainsFunc(foundation, notICEChar) {
		return false
	}
	if !digits(component, 5, 256) || !digits(priority, 10, 1<<32-1) || !digits(port, 5, 65535) {
		return false
	}
	if t := strings.ToLower(transport); t != "udp" && t != "tcp" {
		return false
	}
	if !usableAddress(address, f[7]) {
		return false
	}
	extensions := f[8:]
	if len(extensions) > 0 && extensions[0] == "raddr" {
		if len(extensions) < 4 || extensions[2] != "rport" || !digits(extensions[3], 5, 65535) {
			return false
		}
		extensions = extensions[4:]
	}
	return usableExtensions(extensions)
}

// usableAddress: an IP address; only host candidates may have an mDNS name.
func usableAddress(address, typ string) bool {
	switch typ {
	case "host":
		if strings.HasSuffix(address, ".local") {
			return true
		}
	case "srflx", "prflx", "relay":
	default:
		return false
	}
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.Zone() == ""
}

// usableExtensions: pairs of printable ASCII; a tcptype is one that exists.
func usableExtensions(extensions []string) bool {
	if len(extensions)%2 != 0 {
		return false
	}
	for i, e := range extensions {
		if strings.ContainsFunc(e, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return false
		}
		if i%2 == 1 && extensions[i-1] == "tcptype" && e != "active" && e != "passive" && e != "so" {
			return false
		}
	}
	return true
}

func notICEChar(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '+' && r != '/'
}

// digits reports whether text is a plain decimal number of at most that many
// digits and that value.
func digits(text string, most int, limit uint64) bool {
	if len(text) > most || strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
		return false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && n <= limit
}
