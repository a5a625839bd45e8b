package peer

import (
	"fmt"
	"strings"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// Verdict says in one sentence why the transport is not connected, or is empty
// when it is. For the goroutine that negotiates.
func (p *Peer) Verdict() string {
	state := p.State()
	if state.Connection == wire.ConnectionConnected {
		return ""
	}
	mux := p.factory.config.Mux
	stats, _ := mux.Stats(p.ufrag)
	counters := mux.Counters()
	addresses, reach := describeCandidates(p.factory.config.Candidates)
	return verdict(facts{
		state: state, flooded: p.flooded.Load(), offering: p.Offering(), negotiated: p.Negotiated(),
		iceConnected: p.iceConnected.Load(), wasConnected: p.wasConnected.Load(),
		stats: stats, others: counters.STUNRequests + counters.UnknownUfrag, addresses: addresses, reach: reach,
	})
}

// describeCandidates lists our addresses, and says who alone can reach them; ""
// where that is not known.
func describeCandidates(candidates []sdpx.Candidate) (addresses, reach string) {
	var list []string
	loopback, private := true, true
	for _, c := range candidates {
		ip := c.Address.Addr()
		loopback, private = loopback && ip.IsLoopback(), private && (ip.IsLoopback() || ip.IsPrivate())
		if !c.TCP {
			list = append(list, c.Address.String())
		}
	}
	switch {
	case loopback:
		reach = "this machine"
	case private:
		reach = "this network"
	}
	return strings.Join(list, ", "), reach
}

// facts are what a verdict is judged from. Those of netio are about UDP alone.
type facts struct {
	state        State
	flooded      bool // the client had too many streams
	offering     bool // our offer is not answered
	negotiated   bool
	iceConnected bool // once, over UDP or TCP
	wasConnected bool
	stats        netio.UfragStats
	others       uint64 // checks that came for other sessions, of this worker or not
	addresses    string // ours, as clients are told
	reach        string // who alone can reach them
}

func verdict(f facts) string {
	s := f.stats
	left := f.state.Closed && f.state.Connection == wire.ConnectionDisconnected
	switch {
	case f.flooded:
		return fmt.Sprintf("The client sent, or named in RTCP, over %d different streams, or opened over %d data channels: its connection was closed.", maxBuffers, maxDataChannels)
	case f.wasConnected && left:
		return "The client closed its connection, or dropped its transport without sending a new offer."
	case f.wasConnected:
		return "The connection was up and then nothing more came from the client: its network or its device went away."
	case !f.negotiated && f.offering:
		return "An offer of the SFU waits for the client's answer: send it with PUT renegotiate."
	case !f.negotiated:
		return "No session description of the client was accepted yet: nothing to connect to."
	case !f.iceConnected && s.STUNRequests == 0:
		return f.unreached()
	case !f.iceConnected && s.Sent == 0:
		return fmt.Sprintf("%d connectivity checks arrived but none could be answered: their ICE credentials are not those that were exchanged. Apply each description unchanged, to the session that it belongs to.", s.STUNRequests)
	case left:
		return "The DTLS handshake was broken off: the client left, or a certificate does not match the fingerprint in its description. Apply each description unchanged, to the session that it belongs to."
	case s.STUNRequests > 0 && s.DTLSPackets == 0:
		return fmt.Sprintf("%d connectivity checks were answered but no DTLS followed: replies do not reach the client, or a middlebox drops DTLS.", s.STUNRequests)
	case f.state.Connection == wire.ConnectionFailed:
		return "ICE connected but the DTLS handshake failed: the client's certificate does not match the fingerprint in its description, or no common cipher was found."
	}
	return "ICE connected and the DTLS handshake is under way."
}

// unreached is the verdict on a client that is not heard.
func (f facts) unreached() string {
	switch {
	case f.reach == "this machine", f.reach != "" && f.others == 0:
		return fmt.Sprintf("No connectivity check of this client arrived at %s, which only clients on %s can reach: for others, advertise an address that they can reach.", f.addresses, f.reach)
	case f.others > 0:
		return fmt.Sprintf("No connectivity check of this client arrived at %s, though those of others do: its network blocks them, or it applied the description of another session.", f.addresses)
	}
	return fmt.Sprintf("No connectivity check ever arrived at %s: open this UDP port in the firewall, or advertise an address that clients can reach.", f.addresses)
}
