package peer

import (
	"fmt"
	"strings"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/wire"
)

// Verdict says in one sentence why the transport is not connected, or is empty
// when it is.
func (p *Peer) Verdict() string {
	state := p.State()
	if state.Connection == wire.ConnectionConnected {
		return ""
	}
	stats, _ := p.factory.config.Mux.Stats(p.ufrag)
	return verdict(facts{
		state: state, flooded: p.flooded.Load(), negotiated: p.Negotiated(), stats: stats, addresses: p.addresses(),
		unknown: p.factory.config.Mux.Counters().UnknownUfrag,
	})
}

func (p *Peer) addresses() string {
	var list []string
	for _, c := range p.factory.config.Candidates {
		if !c.TCP {
			list = append(list, c.Address.String())
		}
	}
	return strings.Join(list, ", ")
}

// facts are what a verdict is judged from.
type facts struct {
	state      State
	flooded    bool // the client had too many streams
	negotiated bool
	stats      netio.UfragStats
	addresses  string // ours, as clients are told
	unknown    uint64 // checks that came for no session of this worker
}

func verdict(f facts) string {
	s := f.stats
	switch {
	case f.flooded:
		return fmt.Sprintf("The client sent, or named in RTCP, over %d different streams: its connection was closed.", maxBuffers)
	case f.state.Closed && f.state.Connection == wire.ConnectionDisconnected && s.DTLSPackets > 0:
		return "The client closed its connection, or dropped its transport without sending a new offer."
	case s.MediaPackets > 0:
		return "The connection was up and then nothing more came from the client: its network or its device went away."
	case !f.negotiated:
		return "No session description of the client was accepted yet: nothing to connect to."
	case s.STUNRequests == 0 && f.unknown > 0:
		return fmt.Sprintf("No connectivity check of this session arrived at %s, though others did: the client cannot reach this address, or checks a different session.", f.addresses)
	case s.STUNRequests == 0:
		return fmt.Sprintf("No connectivity check arrived at %s: open these UDP ports, or advertise an address that clients can reach.", f.addresses)
	case s.Sent == 0:
		return fmt.Sprintf("%d connectivity checks arrived but none could be answered: the client uses other ICE credentials than its description says.", s.STUNRequests)
	case s.DTLSPackets == 0:
		return fmt.Sprintf("%d connectivity checks were answered but no DTLS followed: replies do not reach the client, or a middlebox drops DTLS.", s.STUNRequests)
	case f.state.Connection == wire.ConnectionFailed:
		return "ICE connected but the DTLS handshake failed: the client's certificate does not match the fingerprint in its description, or no common cipher was found."
	}
	return "ICE connected and the DTLS handshake is under way."
}
