package peer

import (
	"net/netip"
	"strings"
	"testing"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

func TestVerdict(t *testing.T) {
	var (
		connecting = State{Connection: wire.ConnectionConnecting}
		lost       = State{Connection: wire.ConnectionDisconnected}
		closed     = State{Connection: wire.ConnectionDisconnected, Closed: true}
		failed     = State{Connection: wire.ConnectionFailed, Closed: true}

		checked   = netio.UfragStats{STUNRequests: 4}
		answered  = netio.UfragStats{STUNRequests: 4, Sent: 4}
		handshake = netio.UfragStats{STUNRequests: 4, Sent: 4, DTLSPackets: 1}
	)
	for want, f := range map[string]facts{
		"over 8192 different streams":       {state: closed, negotiated: true, flooded: true},
		"No session description":            {state: State{Connection: wire.ConnectionNew}},
		"waits for the client's answer":     {state: State{Connection: wire.ConnectionNew}, offering: true},
		"open this UDP port":                {state: connecting, negotiated: true},
		"only clients on this network can":  {state: connecting, negotiated: true, reach: "this network"},
		"only clients on this machine can":  {state: connecting, negotiated: true, reach: "this machine", others: 3},
		"though those of others do":         {state: connecting, negotiated: true, reach: "this network", others: 3},
		"none could be answered":            {state: connecting, negotiated: true, stats: checked},
		"no DTLS followed":                  {state: connecting, negotiated: true, iceConnected: true, stats: answered},
		"handshake is under way":            {state: connecting, negotiated: true, iceConnected: true, stats: handshake},
		"ICE connected and the DTLS":        {state: connecting, negotiated: true, iceConnected: true}, // over TCP
		"the DTLS handshake failed":         {state: failed, negotiated: true, iceConnected: true, stats: handshake},
		"ICE connected but the DTLS":        {state: failed, negotiated: true, iceConnected: true}, // over TCP
		"The DTLS handshake was broken off": {state: closed, negotiated: true, iceConnected: true, stats: handshake},
		"nothing more came":                 {state: lost, negotiated: true, iceConnected: true, wasConnected: true},
		"The client closed its conn":        {state: closed, negotiated: true, iceConnected: true, wasConnected: true},
	} {
		if got := verdict(f); !strings.Contains(got, want) {
			t.Errorf("verdict on %+v is %q, want %q in it", f, got, want)
		}
	}
}

func TestDescribeCandidates(t *testing.T) {
	for _, tc := range []struct{ list, reach string }{
		{"127.0.0.1:1, [::1]:1", "this machine"},
		{"127.0.0.1:1, 10.0.0.7:1", "this network"},
		{"[fd00::2]:1", "this network"},
		{"10.0.0.7:1, 198.51.100.7:1", ""},
	} {
		var candidates []sdpx.Candidate
		for address := range strings.SplitSeq(tc.list, ", ") {
			a := netip.MustParseAddrPort(address)
			candidates = append(candidates, sdpx.Candidate{Address: a}, sdpx.Candidate{Address: a, TCP: true})
		}
		if list, reach := describeCandidates(candidates); list != tc.list || reach != tc.reach {
			t.Errorf("%s: %q, reached by %q, want %q", tc.list, list, reach, tc.reach)
		}
	}
}
