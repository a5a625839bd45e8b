package ids_test

import (
	"errors"
	"strings"
	"testing"

	"switchboard/shared/ids"
)

// parsers by what they parse; each returns the text of what it accepted.
var parsers = map[string]func(string) (string, error){
	"app":     func(s string) (string, error) { v, err := ids.ParseAppID(s); return string(v), err },
	"session": func(s string) (string, error) { v, err := ids.ParseSessionID(s); return string(v), err },
	"track":   func(s string) (string, error) { v, err := ids.ParseTrackName(s); return string(v), err },
	"worker":  func(s string) (string, error) { v, err := ids.ParseWorkerID(s); return string(v), err },
	"command": func(s string) (string, error) { v, err := ids.ParseCommandID(s); return string(v), err },
}

func TestParse(t *testing.T) {
	const session = "7d3f2b6c90a14e58b1c2d3e4f5061728"
	for _, tc := range []struct {
		kind, text string
		ok         bool
	}{
		{"app", "my-App_1", true}, {"app", strings.Repeat("a", 64), true},
		{"app", "", false}, {"app", strings.Repeat("a", 65), false}, {"app", "a.b", false}, {"app", "a*", false}, {"app", "a>", false}, {"app", "ü", false}, {"app", "a b", false},
		{"session", session, true},
		{"session", "", false}, {"session", session[1:], false}, {"session", session + "0", false}, {"session", strings.ToUpper(session), false}, {"session", session[1:] + "g", false},
		{"track", "mic", true}, {"track", "Kamera ü, 2/3 #x", true}, {"track", strings.Repeat("ü", 64), true},
		{"track", "", false}, {"track", strings.Repeat("ü", 65), false}, {"track", "a\nb", false}, {"track", "a\x7f", false}, {"track", "a\xff", false},
		{"worker", "fra1-5f2c9a1e", true}, {"worker", "", false}, {"worker", "a.b", false}, {"worker", strings.Repeat("a", 65), false},
		{"command", strings.Repeat("a", 128), true}, {"command", strings.Repeat("a", 129), false}, {"command", "a:b", false},
	} {
		got, err := parsers[tc.kind](tc.text)
		if (err == nil) != tc.ok {
			t.Errorf("%s %q: %v, want ok %t", tc.kind, tc.text, err, tc.ok)
		}
		if tc.ok && got != tc.text || !tc.ok && (got != "" || !errors.Is(err, ids.ErrInvalid)) {
			t.Errorf("%s %q: %q, %v", tc.kind, tc.text, got, err)
		}
	}
}

func TestFreshIDsAreValidAndDiffer(t *testing.T) {
	if a, b := ids.NewSessionID(), ids.NewSessionID(); a == b {
		t.Errorf("%s twice", a)
	} else if _, err := ids.ParseSessionID(string(a)); err != nil {
		t.Error(err)
	}
	if a, b := ids.NewCommandID(), ids.NewCommandID(); a == b {
		t.Errorf("%s twice", a)
	} else if _, err := ids.ParseCommandID(string(a)); err != nil {
		t.Error(err)
	}
	label := strings.Repeat("l", 40)
	a, err := ids.NewWorkerID(label)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := ids.NewWorkerID(label); a == b || !strings.HasPrefix(string(a), label+"-") {
		t.Errorf("%s and %s", a, b)
	}
	if _, err := ids.ParseWorkerID(string(a)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", label + "l", "a.b"} {
		if w, err := ids.NewWorkerID(bad); !errors.Is(err, ids.ErrInvalid) {
			t.Errorf("label %q gives %s, %v", bad, w, err)
		}
	}
}

func TestTrackKeyString(t *testing.T) {
	if got := (ids.TrackKey{Session: "s", Track: "mic"}).String(); got != "s/mic" {
		t.Errorf("%q", got)
	}
}

// FuzzParse: what a parser accepts is unchanged and cannot break out of a NATS
// subject, a Redis key or a line of the log.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "my-app", "7d3f2b6c90a14e58b1c2d3e4f5061728", "a.b", "a\r\nb", "*", "{x}", "Kamera ü"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for kind, parse := range parsers {
			got, err := parse(s)
			switch {
			case err != nil:
				continue
			case got != s:
				t.Errorf("%s %q became %q", kind, s, got)
			case strings.ContainsAny(s, "\r\n\x00"):
				t.Errorf("%s %q was accepted", kind, s)
			case kind != "track" && strings.ContainsAny(s, ".*>{}: "):
				t.Errorf("%s %q was accepted", kind, s)
			}
		}
	})
}
