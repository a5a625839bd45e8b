package netio

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
)

var udpOnly = []ice.NetworkType{ice.NetworkTypeUDP4, ice.NetworkTypeUDP6}

// newAgentOf makes an ICE agent that has gathered, and its candidates.
func newAgentOf(t *testing.T, options ...ice.AgentOption) (*ice.Agent, []ice.Candidate) {
	t.Helper()
	options = append([]ice.AgentOption{
		ice.WithNetworkTypes(udpOnly),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
		ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
		ice.WithIncludeLoopback(),
	}, options...)
	a, err := ice.NewAgentWithOptions(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.GracefulClose(); err != nil {
			t.Error(err)
		}
	})
	gathered := make(chan struct{})
	var candidates []ice.Candidate
	if err := a.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
			return
		}
		candidates = append(candidates, c)
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.GatherCandidates(); err != nil {
		t.Fatal(err)
	}
	<-gathered
	return a, candidates
}

// server is the worker's side: ICE-lite through the mux.
func server(t *testing.T, m *Mux, more ...ice.AgentOption) (*ice.Agent, []ice.Candidate) {
	return newAgentOf(t, append([]ice.AgentOption{ice.WithICELite(true), ice.WithUDPMux(m)}, more...)...)
}

func credentials(t *testing.T, a *ice.Agent) (ufrag, pwd string) {
	t.Helper()
	ufrag, pwd, err := a.GetLocalUserCredentials()
	if err != nil {
		t.Fatal(err)
	}
	return ufrag, pwd
}

// startClient makes the controlling side check the server's candidates.
func startClient(t *testing.T, client, server *ice.Agent, candidates []ice.Candidate) *ice.Conn {
	t.Helper()
	for _, c := range candidates {
		remote, err := ice.UnmarshalCandidate(c.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if err := client.AddRemoteCandidate(remote); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.SetRemoteICELite(true); err != nil {
		t.Fatal(err)
	}
	ufrag, pwd := credentials(t, server)
	conn, err := client.StartDial(ufrag, pwd)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func startServer(t *testing.T, server, client *ice.Agent) *ice.Conn {
	t.Helper()
	ufrag, pwd := credentials(t, client)
	conn, err := server.StartAccept(ufrag, pwd)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func await(t *testing.T, agents ...*ice.Agent) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, a := range agents {
		if err := a.AwaitConnect(ctx); err != nil {
			t.Fatalf("not connected: %v", err)
		}
	}
}

// exchange sends datagrams both ways; the first bytes are those of DTLS and SRTP.
func exchange(t *testing.T, a, b *ice.Conn, mark string) {
	t.Helper()
	for from, to := range map[*ice.Conn]*ice.Conn{a: b, b: a} {
		for _, first := range []string{"\x16", "\x80"} {
			want := first + mark
			if _, err := from.Write([]byte(want)); err != nil {
				t.Fatal(err)
			}
			if err := to.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 1500)
			n, err := to.Read(got)
			if err != nil || string(got[:n]) != want {
				t.Fatalf("read %q, %v; want %q", got[:n], err, want)
			}
		}
	}
}

func TestAgentsConnectAtOnce(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(loopback, func(t *testing.T) {
			if probe, err := net.ListenPacket("udp", loopback); err != nil {
				t.Fatalf("the tests need the loopback address %s: %v", loopback, err)
			} else {
				_ = probe.Close()
			}
			m := listen(t, Config{UDP: []string{loopback}})
			var pairs sync.WaitGroup
			for i := range 3 {
				serverAgent, candidates := server(t, m)
				clientAgent, _ := newAgentOf(t)
				pairs.Go(func() {
					c := startClient(t, clientAgent, serverAgent, candidates)
					s := startServer(t, serverAgent, clientAgent)
					await(t, clientAgent, serverAgent)
					exchange(t, c, s, fmt.Sprint("pair ", i))
				})
			}
			pairs.Wait()
			if c := m.Counters(); c.UnknownUfrag != 0 || c.Malformed != 0 || c.Dropped != 0 {
				t.Errorf("counters: %+v", c)
			}
		})
	}
}

// One agent over several sockets: whichever address the client picks answers.
func TestAgentOverSeveralAddresses(t *testing.T) {
	m := listen(t, Config{UDP: []string{"127.0.0.1:0", "127.0.0.2:0"}})
	serverAgent, candidates := server(t, m)
	if len(candidates) != 2 {
		t.Fatalf("candidates: %v", candidates)
	}
	for _, local := range []string{"127.0.0.1", "127.0.0.2"} {
		i := slices.IndexFunc(candidates, func(c ice.Candidate) bool { return c.Address() == local })
		if i < 0 {
			t.Fatalf("no candidate on %s: %v", local, candidates)
		}
	}
	clientAgent, _ := newAgentOf(t)
	c := startClient(t, clientAgent, serverAgent, candidates[1:])
	s := startServer(t, serverAgent, clientAgent)
	await(t, clientAgent, serverAgent)
	exchange(t, c, s, "second address")
	if got := len(m.sockets[0].remotes) + len(m.sockets[1].remotes); got == 0 {
		t.Error("no address was bound")
	}
	ufrag, _ := credentials(t, serverAgent)
	m.RemoveConnByUfrag(ufrag)
	for _, s := range m.sockets {
		if len(s.remotes) != 0 {
			t.Errorf("%d addresses of %v bound after removal", len(s.remotes), s.address)
		}
	}
}

// A client that starts checking before the server knows its credentials is
// answered from the checks that were held.
func TestHeldChecksConnect(t *testing.T) {
	m := listen(t, Config{})
	serverAgent, candidates := server(t, m)
	ufrag, _ := credentials(t, serverAgent)
	m.Hold(ufrag)
	// Its next check comes after 2 s only (the keepalive), so that what is
	// answered before is a held one.
	clientAgent, _ := newAgentOf(t, ice.WithCheckInterval(time.Hour))
	c := startClient(t, clientAgent, serverAgent, candidates)
	eventually(t, "a check held", func() bool { s, _ := m.Stats(ufrag); return s.Held > 0 })
	s := startServer(t, serverAgent, clientAgent)
	m.Release(ufrag)
	eventually(t, "the held check answered", func() bool { s, _ := m.Stats(ufrag); return s.Sent > 0 })
	if s, _ := m.Stats(ufrag); s.STUNRequests != s.Held {
		t.Errorf("%d checks came, only %d of them held", s.STUNRequests, s.Held)
	}
	await(t, clientAgent, serverAgent)
	exchange(t, c, s, "held")
}

// A client's socket is answered by a fresh agent while the old one still lives.
func TestFreshAgentForTheSameRemoteAddress(t *testing.T) {
	m := listen(t, Config{})
	socket := client(t)
	clientMux := ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: socket})
	t.Cleanup(func() { _ = clientMux.Close() })

	oldServer, candidates := server(t, m)
	oldClient, _ := newAgentOf(t, ice.WithUDPMux(clientMux))
	c := startClient(t, oldClient, oldServer, candidates)
	s := startServer(t, oldServer, oldClient)
	await(t, oldClient, oldServer)
	exchange(t, c, s, "old")
	if err := oldClient.Close(); err != nil {
		t.Fatal(err)
	}

	freshServer, candidates := server(t, m)
	freshClient, _ := newAgentOf(t, ice.WithUDPMux(clientMux))
	c = startClient(t, freshClient, freshServer, candidates)
	s = startServer(t, freshServer, freshClient)
	await(t, freshClient, freshServer)
	exchange(t, c, s, "fresh")
	if got := len(m.sockets[0].remotes); got != 1 {
		t.Errorf("%d addresses bound, want the client's one", got)
	}
}

func TestAgentsOverTCP(t *testing.T) {
	m := listen(t, Config{TCP: true})
	tcp := ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeTCP4})
	serverAgent, candidates := server(t, m, tcp, ice.WithTCPMux(m.TCPMux()))
	candidates = slices.DeleteFunc(candidates, func(c ice.Candidate) bool {
		return !strings.HasPrefix(c.NetworkType().String(), "tcp") || c.Address() != "127.0.0.1"
	})
	if len(candidates) != 1 || candidates[0].Port() != int(m.Addresses()[0].Port()) {
		t.Fatalf("candidates: %v, want one on the mux's port", candidates)
	}
	clientAgent, _ := newAgentOf(t, tcp)
	c := startClient(t, clientAgent, serverAgent, candidates)
	s := startServer(t, serverAgent, clientAgent)
	await(t, clientAgent, serverAgent)
	exchange(t, c, s, "tcp")
}
