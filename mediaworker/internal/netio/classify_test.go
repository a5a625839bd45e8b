package netio

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		first byte
		want  class
	}{
		{0, classSTUN}, {3, classSTUN}, {4, classOther}, {16, classOther}, {19, classOther},
		{20, classDTLS}, {63, classDTLS}, {64, classOther}, {79, classOther}, {127, classOther},
		{128, classMedia}, {191, classMedia}, {192, classOther}, {255, classOther},
	} {
		if got := classify([]byte{tt.first}); got != tt.want {
			t.Errorf("classify(%d) = %d, want %d", tt.first, got, tt.want)
		}
	}
	if got := classify(nil); got != classOther {
		t.Errorf("classify(nil) = %d, want %d", got, classOther)
	}
}

// bindRequest is a connectivity check with that USERNAME.
func bindRequest(t testing.TB, username string, more ...stun.Setter) []byte {
	t.Helper()
	setters := append([]stun.Setter{stun.BindingRequest, stun.TransactionID}, more...)
	if username != "" {
		setters = append(setters, stun.NewUsername(username))
	}
	m, err := stun.Build(append(setters, stun.NewShortTermIntegrity("a password"), stun.Fingerprint)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

func TestRequestUfrag(t *testing.T) {
	long := strings.Repeat("u", maxUfrag)
	for name, tt := range map[string]struct {
		message []byte
		want    string
	}{
		"usual":                  {bindRequest(t, "local:remote"), "local"},
		"attributes before":      {bindRequest(t, "local:remote", stun.NewSoftware("x")), "local"},
		"empty remote fragment":  {bindRequest(t, "local:"), "local"},
		"longest":                {bindRequest(t, long+":r"), long},
		"too long":               {bindRequest(t, long+"u:r"), ""},
		"no colon":               {bindRequest(t, "local"), ""},
		"empty local fragment":   {bindRequest(t, ":remote"), ""},
		"no username":            {bindRequest(t, ""), ""},
		"attribute over the end": {truncatedAttribute(t), ""},
	} {
		t.Run(name, func(t *testing.T) {
			typ, ok := stunType(tt.message)
			if !ok || typ != stunBindRequest {
				t.Fatalf("stunType = %#x, %v", typ, ok)
			}
			if got := string(requestUfrag(tt.message)); got != tt.want {
				t.Errorf("requestUfrag = %q, want %q", got, tt.want)
			}
		})
	}
}

// truncatedAttribute is a request whose only attribute claims more than there is.
func truncatedAttribute(t testing.TB) []byte {
	m := bindRequest(t, "local:remote")[:stunHeader+8]
	binary.BigEndian.PutUint16(m[2:], 8)
	binary.BigEndian.PutUint16(m[stunHeader+2:], 200)
	return m
}

func TestSTUNTypeRefusesBadFraming(t *testing.T) {
	good := bindRequest(t, "local:remote")
	for name, breakIt := range map[string]func([]byte) []byte{
		"short":        func(m []byte) []byte { return m[:stunHeader-1] },
		"truncated":    func(m []byte) []byte { return m[:len(m)-4] },
		"trailing":     func(m []byte) []byte { return append(m, 0, 0, 0, 0) },
		"wrong cookie": func(m []byte) []byte { m[4]++; return m },
	} {
		if _, ok := stunType(breakIt(append([]byte(nil), good...))); ok {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzClassify holds the demultiplexer against pion's STUN decoder: it never
// panics, and where pion reads a USERNAME with a usable user fragment from a
// message that is framed well, it reads the same.
func FuzzClassify(f *testing.F) {
	f.Add(bindRequest(f, "local:remote"))
	f.Add(bindRequest(f, "local:remote", stun.NewSoftware("x")))
	f.Add(bindRequest(f, ""))
	f.Add(truncatedAttribute(f))
	f.Add([]byte{22, 254, 253})
	f.Add([]byte{128, 96})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		if classify(datagram) != classSTUN {
			return
		}
		typ, ok := stunType(datagram)
		if !ok {
			return
		}
		got := string(requestUfrag(datagram))
		m := &stun.Message{Raw: append([]byte(nil), datagram...)}
		if m.Decode() != nil || len(m.Attributes) > maxSTUNAttribute {
			return
		}
		if m.Type.Value() != typ {
			t.Fatalf("type %#x, pion reads %#x", typ, m.Type.Value())
		}
		username, err := m.Get(stun.AttrUsername)
		if err != nil {
			if got != "" {
				t.Fatalf("ufrag %q where pion reads no USERNAME", got)
			}
			return
		}
		want, _, found := strings.Cut(string(username), ":")
		if !found || len(want) > maxUfrag {
			want = ""
		}
		if got != want {
			t.Fatalf("ufrag %q, pion reads %q", got, want)
		}
	})
}
