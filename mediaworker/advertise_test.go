package mediaworker

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAdvertised(t *testing.T) {
	lookup := func(host string) ([]netip.Addr, error) {
		if host != "sfu.example" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::9")}, nil
	}
	tests := []struct {
		name             string
		bound, advertise string
		want, fails      string
	}{
		{"auto leaves loopback out", "127.0.0.1:7 10.0.0.5:7 [2001:db8::1]:7 [::1]:7", "auto", "10.0.0.5:7 [2001:db8::1]:7", ""},
		{"auto on loopback only", "127.0.0.1:7 [::1]:7", "auto", "127.0.0.1:7 [::1]:7", ""},
		{"an address that is bound", "10.0.0.5:7 10.0.0.6:8", "10.0.0.6", "10.0.0.6:8", ""},
		{"loopback when asked for", "127.0.0.1:7 10.0.0.5:7", "127.0.0.1", "127.0.0.1:7", ""},
		{"translated", "127.0.0.1:7 10.0.0.5:7 10.0.0.6:7", "203.0.113.9", "203.0.113.9:7", ""},
		{"translated, two ports", "10.0.0.5:7 10.0.0.6:8", "203.0.113.9", "203.0.113.9:7 203.0.113.9:8", ""},
		{"translated to loopback", "127.0.0.1:7", "203.0.113.9", "203.0.113.9:7", ""},
		{"a name", "10.0.0.5:7 [fd00::1]:7", "sfu.example", "203.0.113.9:7 [2001:db8::9]:7", ""},
		{"a name, one family", "10.0.0.5:7", "sfu.example", "203.0.113.9:7", ""},
		{"several, no duplicates", "10.0.0.5:7", "203.0.113.9 auto sfu.example", "203.0.113.9:7 10.0.0.5:7", ""},
		{"mapped IPv4", "10.0.0.5:7", "::ffff:10.0.0.5", "10.0.0.5:7", ""},
		{"wrong family", "10.0.0.5:7", "2001:db8::9", "", `advertise "2001:db8::9"`},
		{"loopback that is not bound", "10.0.0.5:7", "127.0.0.1", "", `advertise "127.0.0.1"`},
		{"unknown name", "10.0.0.5:7", "nowhere.example", "", `advertise "nowhere.example": no such host`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := advertised(addresses(test.bound), strings.Fields(test.advertise), lookup)
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Fatalf("got %v, %v; want an error with %q", got, err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(addresses(test.want), got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func addresses(text string) []netip.AddrPort {
	var out []netip.AddrPort
	for s := range strings.FieldsSeq(text) {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func TestConfigNamesTheWrongKey(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "" is valid
	}{
		{"defaults", func(*Config) {}, ""},
		{"label", func(c *Config) { c.Label = "a b" }, `label "a b"`},
		{"no socket", func(c *Config) { c.UDP = nil }, "udp:"},
		{"socket without port", func(c *Config) { c.UDP = []string{"10.0.0.1"} }, `udp "10.0.0.1": want "host:port"`},
		{"port", func(c *Config) { c.UDP = []string{":70000"} }, `udp ":70000": port "70000": want 0 to 65535`},
		{"named socket", func(c *Config) { c.UDP = []string{"host:1"} }, `udp "host:1": host "host"`},
		{"IPv6 socket", func(c *Config) { c.UDP = []string{"[::1]:0"} }, ""},
		{"no advertise", func(c *Config) { c.Advertise = nil }, "advertise:"},
		{"advertise with port", func(c *Config) { c.Advertise = []string{"1.2.3.4:5"} }, `advertise "1.2.3.4:5"`},
		{"advertise IPv6", func(c *Config) { c.Advertise = []string{"2001:db8::1"} }, ""},
		{"negative", func(c *Config) { c.MaxSessions = -1 }, "maxSessions: want 0 or more"},
		{"half a key pair", func(c *Config) { c.NATS.Cert = "x" }, "nats.cert and nats.key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := Default()
			test.change(&c)
			err := c.Validate()
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}
