package peer

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
)

// client is an ICE agent that does only what it is told, with the credentials
// of description.
type client struct {
	t    *testing.T
	conn net.Conn
	peer *Peer
}

// check sends a connectivity check.
func (c client) check(more ...stun.Setter) {
	c.t.Helper()
	setters := append([]stun.Setter{
		stun.BindingRequest, stun.TransactionID, stun.NewUsername(c.peer.ufrag + ":clnt"),
		ice.AttrControlling(7), ice.PriorityAttr(1),
	}, more...)
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity(c.peer.password), stun.Fingerprint)...)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.conn.Write(m.Raw); err != nil {
		c.t.Fatal(err)
	}
}

// next returns the next STUN message, or nil when none comes for a while.
func (c client) next(while time.Duration) *stun.Message {
	c.t.Helper()
	buffer := make([]byte, 1500)
	for {
		if err := c.conn.SetReadDeadline(time.Now().Add(while)); err != nil {
			c.t.Fatal(err)
		}
		n, err := c.conn.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if !stun.IsMessage(buffer[:n]) {
			continue // DTLS
		}
		m := &stun.Message{Raw: append([]byte(nil), buffer[:n]...)}
		if err := m.Decode(); err != nil {
			c.t.Fatal(err)
		}
		return m
	}
}

// A client's check is answered, and then by a check that the client accepts.
// After its nomination there are no more of those.
func TestChecksArePromptedUntilNomination(t *testing.T) {
	const soon, never = 5 * time.Second, 100 * time.Millisecond
	p := newPeer(t)
	if _, err := p.Answer(description(t, "actpass", media("audio", "0", "sendonly", "111", opus...)), nil); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", p.factory.config.Mux.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := client{t, conn, p}

	c.check()
	kinds := make(map[stun.MessageType]*stun.Message)
	for range 2 {
		m := c.next(soon)
		if m == nil {
			t.Fatalf("only %d messages came back, want a response and a check", len(kinds))
		}
		kinds[m.Type] = m
	}
	if kinds[stun.BindingSuccess] == nil {
		t.Error("the check has no response")
	}
	prompt := kinds[stun.BindingRequest]
	if prompt == nil {
		t.Fatal("the check is not followed by one of ours")
	}
	var user stun.Username
	if err := user.GetFrom(prompt); err != nil || user.String() != "clnt:"+p.ufrag {
		t.Errorf("username %q, %v; want %q", user, err, "clnt:"+p.ufrag)
	}
	if err := stun.NewShortTermIntegrity("0123456789012345678901").Check(prompt); err != nil {
		t.Errorf("integrity: %v", err)
	}
	if err := stun.Fingerprint.Check(prompt); err != nil {
		t.Errorf("fingerprint: %v", err)
	}
	if !prompt.Contains(stun.AttrICEControlled) || prompt.Contains(stun.AttrUseCandidate) {
		t.Errorf("the check must be that of a controlled agent: %v", prompt)
	}

	c.check(ice.UseCandidate())
	c.check()
	for range 2 {
		if m := c.next(soon); m == nil || m.Type != stun.BindingSuccess {
			t.Errorf("got %v after the nomination, want only responses", m)
		}
	}
	if m := c.next(never); m != nil {
		t.Errorf("got %v after the nomination, want nothing more", m)
	}
}

// However many checks a client sends, it is prompted a few times.
func TestPromptsAreBounded(t *testing.T) {
	p := newPeer(t)
	if _, err := p.Answer(description(t, "actpass", media("audio", "0", "sendonly", "111", opus...)), nil); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", p.factory.config.Mux.Addresses()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := client{t, conn, p}
	prompts := 0
	for range 3 * maxPrompts {
		c.check()
		for responded := false; !responded; {
			switch m := c.next(5 * time.Second); {
			case m == nil:
				t.Fatal("a check has no response")
			case m.Type == stun.BindingRequest:
				prompts++
			default:
				responded = true
			}
		}
	}
	if prompts > maxPrompts {
		t.Errorf("%d prompts, want at most %d", prompts, maxPrompts)
	}
	if prompts == 0 {
		t.Error("no prompt at all")
	}
}
