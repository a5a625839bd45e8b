package netio

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestMuxListensOnEveryAddress(t *testing.T) {
	m := listen(t, Config{UDP: []string{":0"}, TCP: true})
	addresses := m.Addresses()
	if len(addresses) == 0 || len(addresses) != len(m.GetListenAddresses()) {
		t.Fatalf("addresses: %v", addresses)
	}
	for _, a := range addresses {
		if a.Port() != addresses[0].Port() || a.Addr().IsUnspecified() {
			t.Errorf("%v beside %v", a, addresses[0])
		}
		c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(a))
		if err != nil {
			t.Errorf("TCP on %v: %v", a, err)
			continue
		}
		_ = c.Close()
	}
	if m.TCPMux() == nil {
		t.Error("no TCP mux")
	}
	if off := listen(t, Config{}); off.TCPMux() != nil {
		t.Error("a TCP mux that is off is not nil")
	}
}

func TestListenRefuses(t *testing.T) {
	taken := listen(t, Config{})
	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"nothing":    {Config{}, "no listen address"},
		"no port":    {Config{UDP: []string{"127.0.0.1"}}, "is not host:port"},
		"name":       {Config{UDP: []string{"example.com:1"}}, "an IP address or empty"},
		"port":       {Config{UDP: []string{"127.0.0.1:65536"}}, "from 0 to 65535"},
		"link-local": {Config{UDP: []string{"169.254.1.1:0"}}, "link-local"},
		"taken":      {Config{UDP: []string{taken.Addresses()[0].String()}}, "listen on UDP"},
	} {
		m, err := Listen(tt.cfg)
		if err == nil {
			_ = m.Close()
			t.Errorf("%s: accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTCPNeedsOnePort(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:0"), netip.MustParseAddrPort("127.0.0.1:1")
	if _, err := listenTCP([]netip.AddrPort{a, b}); err == nil || !strings.Contains(err.Error(), "one port number") {
		t.Errorf("err = %v", err)
	}
}

func TestBuffers(t *testing.T) {
	m := listen(t, Config{ReadBuffer: 64 << 10, WriteBuffer: 1 << 40 >> 10})
	b := m.Buffers()[0]
	if b.Address != m.Addresses()[0] || b.ReadRequested != 64<<10 || b.ReadGranted < 64<<10 {
		t.Errorf("buffer: %+v", b)
	}
	for _, tt := range []struct {
		buffer Buffer
		want   string
	}{
		{Buffer{ReadRequested: 2, ReadGranted: 2, WriteRequested: 1, WriteGranted: 5}, ""},
		{Buffer{ReadRequested: 3, ReadGranted: 2}, "sysctl -w net.core.rmem_max=3"},
		{Buffer{WriteRequested: 3, WriteGranted: 2}, "sysctl -w net.core.wmem_max=3"},
		{Buffer{ReadRequested: 4, WriteRequested: 3}, "sysctl -w net.core.rmem_max=4 net.core.wmem_max=3"},
	} {
		if got := tt.buffer.Sysctl(); got != tt.want {
			t.Errorf("Sysctl of %+v = %q, want %q", tt.buffer, got, tt.want)
		}
	}
}
