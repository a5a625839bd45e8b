package netio

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

func TestTCPConnectionsOfOneHostAreBounded(t *testing.T) {
	l, err := listenTCP([]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	var accepted []net.Conn
	for range maxTCPPerHost {
		dial()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		accepted = append(accepted, c)
	}
	extra := dial()
	if err := extra.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := extra.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a connection too many is not closed: %v", err)
	}
	if err := accepted[0].Close(); err != nil {
		t.Fatal(err)
	}
	_ = accepted[0].Close() // counts once
	dial()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range append(accepted[1:], c) {
		_ = c.Close()
	}
	if l.open != 0 || len(l.from) != 0 {
		t.Errorf("%d connections of %d hosts are still counted", l.open, len(l.from))
	}
}

func TestHostOf(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.7:5":              "192.0.2.7/32",
		"[::ffff:192.0.2.7]:5":     "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:5": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:5":         "fe80::/64",
	} {
		if got := hostOf(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))); got.String() != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}
