package peer

import (
	"net"
	"sync/atomic"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
)

// maxPrompts bounds the prompts of a peer.
const maxPrompts = 8

// prompter answers a client's first connectivity checks with a check of ours.
//
// A client that checks an ICE-lite agent has a valid pair after one round trip,
// but some nominate it only when their next timer fires: pion's after 200 ms,
// which is most of the time of a join. A check from us makes them nominate at
// once, because to a full agent that is the moment at which both directions are
// known to work (RFC 8445 section 7.3.1.4). A lite agent is not to send checks
// (section 7), and this is the one exception: nothing is made of the response,
// so that a client which ignores ours connects as it would have.
//
// No stranger is prompted: pion has verified the check's integrity before.
type prompter struct {
	mux    *netio.Mux
	ufrag  string // ours
	client atomic.Pointer[credentials]

	nominated atomic.Bool
	sent      atomic.Int32
}

type credentials struct{ ufrag, password string }

// learn takes the client's credentials from its description, before pion does.
func (p *prompter) learn(d *sdpx.Description) {
	if s := tagSection(d); s != nil {
		p.client.Store(&credentials{s.ICEUfrag, s.ICEPwd})
	}
}

// checked is pion's hook for every check of the client, on the agent's loop. It
// returns false: which pair is selected is left to pion. A client that has
// nominated is not prompted again.
func (p *prompter) checked(check *stun.Message, local, remote ice.Candidate, _ *ice.CandidatePair) bool {
	if check.Contains(stun.AttrUseCandidate) {
		p.nominated.Store(true)
	}
	client := p.client.Load()
	if client == nil || p.nominated.Load() || local.NetworkType().IsTCP() || p.sent.Add(1) > maxPrompts {
		return false
	}
	prompt, err := promptFor(p.ufrag, *client, local.Priority())
	if err != nil {
		return false
	}
	conn, err := p.mux.GetConn(p.ufrag, udpAddr(local))
	if err != nil {
		return false
	}
	// A prompt that is lost costs what it was to save.
	_, _ = conn.WriteTo(prompt.Raw, udpAddr(remote))
	_ = conn.Close()
	return false
}

// promptFor is the check that a controlled agent would send (RFC 8445 section 7.2.2).
func promptFor(ufrag string, client credentials, priority uint32) (*stun.Message, error) {
	return stun.Build(
		stun.BindingRequest, stun.TransactionID,
		stun.NewUsername(client.ufrag+":"+ufrag),
		ice.AttrControlled(1), // compared only between agents that want the same role
		ice.PriorityAttr(priority),
		stun.NewShortTermIntegrity(client.password), stun.Fingerprint,
	)
}

func udpAddr(c ice.Candidate) *net.UDPAddr {
	return &net.UDPAddr{IP: net.ParseIP(c.Address()), Port: c.Port()}
}
