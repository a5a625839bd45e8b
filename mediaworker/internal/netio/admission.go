package netio

import (
	"encoding/binary"

	"golang.org/x/time/rate"
)

// pion keeps state of every SSRC and every address that an authenticated client
// has ever sent from, for the life of its transport. What a client needs is far
// below these limits: a first lot, then a new one each second.
const (
	firstSSRCs     = 1024
	firstAddresses = 64
	laterPerSecond = 1
)

// rtcpPerSecond bounds the RTCP packets of one client, after a first burst: pion
// takes up to 5 ms to find out that a transport-wide report of 40 bytes is
// garbage, and queues 1 MiB of them. A client with dozens of lossy streams needs
// less, and repeats what was lost.
const (
	rtcpPerSecond = 150
	rtcpBurst     = 600
)

// admission bounds what one client makes its agent remember.
type admission struct {
	// ssrcs are those admitted, and fresh admits new ones. Only the socket's
	// loop uses them.
	ssrcs map[uint32]struct{}
	fresh *rate.Limiter
	rtcp  *rate.Limiter
	// addresses is spent by each new remote address that the agent answers.
	addresses *rate.Limiter
}

func newAdmission() admission {
	return admission{
		ssrcs:     make(map[uint32]struct{}),
		fresh:     rate.NewLimiter(laterPerSecond, firstSSRCs),
		rtcp:      rate.NewLimiter(rtcpPerSecond, rtcpBurst),
		addresses: rate.NewLimiter(laterPerSecond, firstAddresses),
	}
}

// admits reports whether an SRTP or SRTCP packet may be delivered: its sender's
// SSRC, which is never encrypted (RFC 3711 section 3), is known or may be new, and
// there is not too much RTCP.
// The agent drops what is too short to have one.
func (a *admission) admits(packet []byte) bool {
	at := 8
	if len(packet) > 1 && isRTCP(packet[1]) {
		if !a.rtcp.Allow() {
			return false
		}
		at = 4
	}
	if len(packet) < at+4 {
		return true
	}
	ssrc := binary.BigEndian.Uint32(packet[at:])
	if _, known := a.ssrcs[ssrc]; known {
		return true
	}
	if !a.fresh.Allow() {
		return false
	}
	a.ssrcs[ssrc] = struct{}{}
	return true
}

// isRTCP tells RTCP from RTP by the second byte (RFC 5761 section 4).
func isRTCP(b byte) bool { return b >= 192 && b <= 223 }

// answers notes that the agent answered a check from a new address.
func (a *admission) answers() { a.addresses.Allow() }

// crowded reports whether the agent has answered so many addresses lately that
// it must not hear of another one.
func (a *admission) crowded() bool { return a.addresses.Tokens() < 1 }
