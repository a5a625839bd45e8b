package sdpx

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden wire copies")

var ours = []Candidate{
	{Address: netip.MustParseAddrPort("198.51.100.7:3478")},
	{Address: netip.MustParseAddrPort("[2001:db8::7]:3478")},
	{Address: netip.MustParseAddrPort("198.51.100.7:3478"), TCP: true},
}

func TestWireGolden(t *testing.T) {
	for name, tt := range map[string]struct {
		make  func(string, WireFacts) (string, error)
		from  string
		facts WireFacts
	}{
		"answer_plain":      {WireAnswer, "pion_answer.sdp", WireFacts{ICELite: true}},
		"answer_passive":    {WireAnswer, "pion_answer.sdp", WireFacts{Setup: Passive, ICELite: true, Candidates: ours}},
		"answer_ended":      {WireAnswer, "pion_answer.sdp", WireFacts{Setup: Passive, ICELite: true, Ended: []string{"0"}}},
		"answer_full_agent": {WireAnswer, "pion_answer.sdp", WireFacts{Setup: Active, Candidates: []Candidate{}, Bundle: []string{"1", "0"}}},
		"answer_all_ended":  {WireAnswer, "pion_answer.sdp", WireFacts{Setup: Active, ICELite: true, Ended: []string{"1", "0", "9"}}},
		"offer_plain":       {WireOffer, "pion_offer.sdp", WireFacts{ICELite: true, Candidates: ours}},
		"offer_ended":       {WireOffer, "pion_offer.sdp", WireFacts{ICELite: true, Ended: []string{"0"}, Bundle: []string{"s2", "0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.make(load(t, tt.from), tt.facts)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "wire_"+name+".sdp")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(load(t, filepath.Base(golden)), got); diff != "" {
				t.Errorf("wire copy (-want +got):\n%s", diff)
			}
			again, err := tt.make(got, tt.facts)
			if err != nil || again != got {
				t.Errorf("not stable: %v\n%s", err, cmp.Diff(got, again))
			}
		})
	}
}

// What every wire copy must be, told by the read model.
func TestWireFactsHold(t *testing.T) {
	text, err := WireOffer(load(t, "pion_offer.sdp"), WireFacts{ICELite: true, Candidates: ours, Ended: []string{"0"}})
	if err != nil {
		t.Fatal(err)
	}
	d := mustParse(t, text)
	if d.Section("0").Live() || !cmp.Equal(d.Bundle, []string{"1", "s2"}) || !d.ICELite {
		t.Errorf("BUNDLE %v, ICE-lite %v", d.Bundle, d.ICELite)
	}
	if got := d.Section("1").Candidates; len(got) != len(ours) || !strings.HasPrefix(got[0], "1 1 udp 2130706431 198.51.100.7 3478 typ host") {
		t.Errorf("candidates: %q", got)
	}
	if len(d.Section("0").Candidates)+len(d.Section("s2").Candidates) != 0 || strings.Count(text, endOfCandidates) != 1 {
		t.Error("candidates outside the first live section")
	}
	for _, s := range d.Sections {
		if s.Setup != ActPass {
			t.Errorf("section %q says setup:%s", s.Mid, s.Setup)
		}
	}
}

func TestWireAddsAndRemovesICELite(t *testing.T) {
	text := load(t, "pion_answer.sdp")
	off, err := WireAnswer(text, WireFacts{})
	if err != nil || strings.Contains(off, "ice-lite") {
		t.Errorf("still ICE-lite: %v", err)
	}
	on, err := WireAnswer(off, WireFacts{ICELite: true})
	if err != nil || !mustParse(t, on).ICELite {
		t.Errorf("not ICE-lite: %v", err)
	}
}

func TestWireRefuses(t *testing.T) {
	text := load(t, "pion_answer.sdp")
	for _, setup := range []Setup{ActPass, HoldConn, "nonsense"} {
		if _, err := WireAnswer(text, WireFacts{Setup: setup}); err == nil {
			t.Errorf("an answer with setup:%s", setup)
		}
	}
	if _, err := WireOffer("v=0\r\n", WireFacts{}); err == nil {
		t.Error("a description without sections")
	}
}

// A wire copy of a valid description is valid, and making it again changes nothing.
func FuzzWire(f *testing.F) {
	f.Add(load(f, "pion_answer.sdp"), "0", true)
	f.Add(load(f, "pion_offer.sdp"), "1 s2", false)
	f.Add(load(f, "chromium_offer.sdp"), "", true)
	f.Fuzz(func(t *testing.T, text, ended string, own bool) {
		d, err := Parse(text)
		if err != nil || ValidateOffer(d, nil) != nil {
			return
		}
		facts := WireFacts{Setup: Passive, ICELite: own, Ended: strings.Fields(ended)}
		if own {
			facts.Candidates = ours
		}
		got, err := WireAnswer(d.Text, facts)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := WireAnswer(got, facts); err != nil || again != got {
			t.Fatalf("not stable: %v\n%s", err, cmp.Diff(got, again))
		}
		w, err := Parse(got)
		if err != nil {
			t.Fatalf("the copy does not parse: %v\n%s", err, got)
		}
		if len(w.Sections) != len(d.Sections) {
			t.Fatalf("%d sections of %d", len(w.Sections), len(d.Sections))
		}
		for _, mid := range w.Bundle {
			if s := w.Section(mid); s == nil || s.Port == 0 {
				t.Fatalf("BUNDLE has mid %q, which is not live", mid)
			}
		}
		for _, mid := range facts.Ended {
			if s := w.Section(mid); s != nil && s.Port != 0 {
				t.Fatalf("ended mid %q has port %d", mid, s.Port)
			}
		}
	})
}

func BenchmarkWireAnswer(b *testing.B) {
	text := load(b, "pion_answer.sdp")
	facts := WireFacts{Setup: Passive, ICELite: true, Candidates: ours, Ended: []string{"0"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := WireAnswer(text, facts); err != nil {
			b.Fatal(err)
		}
	}
}
