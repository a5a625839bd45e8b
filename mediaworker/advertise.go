package mediaworker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
)

// candidates returns what clients are told to send to.
func (w *Worker) candidates(ctx context.Context, mux *netio.Mux) ([]sdpx.Candidate, error) {
	addresses, err := advertised(mux.Addresses(), w.config.Advertise, func(host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	})
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(addresses, func(a netip.AddrPort) bool { return !a.Addr().IsPrivate() }) {
		w.deps.Log.Info("only private addresses are advertised: clients elsewhere need advertise to name the public one", zap.Stringers("advertised", addresses))
	}
	var candidates []sdpx.Candidate
	for _, a := range addresses {
		candidates = append(candidates, sdpx.Candidate{Address: a})
	}
	if mux.TCPMux() != nil {
		for _, a := range addresses {
			candidates = append(candidates, sdpx.Candidate{Address: a, TCP: true})
		}
	}
	return candidates, nil
}

func hostPorts(candidates []sdpx.Candidate) []string {
	var out []string
	for _, c := range candidates {
		if !c.TCP {
			out = append(out, c.Address.String())
		}
	}
	return out
}

func warnOfSmallBuffers(log *zap.Logger, buffers []netio.Buffer) {
	for _, b := range buffers {
		if fix := b.Sysctl(); fix != "" {
			log.Warn("the system grants a smaller receive buffer than asked; bursts may be lost",
				zap.Stringer("socket", b.Address), zap.Int("asked", b.ReadRequested), zap.Int("granted", b.ReadGranted), zap.String("fix", fix))
			return // the limit is the system's, not the socket's
		}
	}
}

// advertised returns what clients are told to send to, without duplicates, in
// the order of advertise: bound lists the sockets, lookup resolves a host name.
//
//   - "auto" is every socket's own address; loopback only when nothing else is
//     bound, for a client elsewhere would try its own machine.
//   - An address that a socket is bound to is that socket.
//   - Any other address is taken for one that is translated to a socket of its
//     family, on the same port number (static NAT, a published container port).
func advertised(bound []netip.AddrPort, advertise []string, lookup func(host string) ([]netip.Addr, error)) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	add := func(addresses []netip.AddrPort) {
		for _, a := range addresses {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	for _, text := range advertise {
		if text == "auto" {
			add(reachable(bound))
			continue
		}
		ips := []netip.Addr{}
		if ip, err := netip.ParseAddr(text); err == nil {
			ips = append(ips, ip)
		} else if ips, err = lookup(text); err != nil {
			return nil, fmt.Errorf("advertise %q: %w", text, err)
		}
		var found []netip.AddrPort
		for _, ip := range ips {
			found = append(found, sockets(bound, ip.Unmap().WithZone(""))...)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("advertise %q: no socket of udp (%v) can be reached there", text, bound)
		}
		add(found)
	}
	if len(out) == 0 {
		return nil, errors.New("advertise: there is no address to advertise")
	}
	return out, nil
}

// sockets returns ip with the ports of the sockets that packets to ip reach.
func sockets(bound []netip.AddrPort, ip netip.Addr) []netip.AddrPort {
	var own, translated []netip.AddrPort
	for _, b := range reachable(bound) {
		if !ip.IsLoopback() && b.Addr().Is4() == ip.Is4() {
			translated = append(translated, netip.AddrPortFrom(ip, b.Port()))
		}
	}
	for _, b := range bound {
		if b.Addr() == ip {
			own = append(own, b)
		}
	}
	if len(own) > 0 {
		return own
	}
	return translated
}

// reachable leaves loopback out, unless nothing else is bound.
func reachable(bound []netip.AddrPort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, b := range bound {
		if !b.Addr().IsLoopback() {
			out = append(out, b)
		}
	}
	if len(out) == 0 {
		return bound
	}
	return out
}
