package sdpx

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func load(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func mustParse(t testing.TB, text string) *Description {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// edit replaces text that must be there.
func edit(t testing.TB, text string, oldNew ...string) string {
	t.Helper()
	for i := 0; i < len(oldNew); i += 2 {
		if !strings.Contains(text, oldNew[i]) {
			t.Fatalf("the description has no %q", oldNew[i])
		}
		text = strings.ReplaceAll(text, oldNew[i], oldNew[i+1])
	}
	return text
}

func TestParseChromium(t *testing.T) {
	d := mustParse(t, load(t, "chromium_offer.sdp"))
	if d.ICELite || d.BundleTag() != "0" || !cmp.Equal(d.Bundle, []string{"0", "1", "2"}) {
		t.Errorf("session part: %+v", d.Bundle)
	}
	if diff := cmp.Diff([]string{"0", "1", "2"}, d.Mids()); diff != "" {
		t.Errorf("mids: %s", diff)
	}
	fingerprint := Fingerprint{"sha-256", "0B:30:55:7A:9F:C4:E9:0E:33:58:7D:A2:C7:EC:11:36:5B:80:A5:CA:EF:14:39:5E:83:A8:CD:F2:17:3C:61:86"}
	video := d.Section("1")
	want := &Section{
		Index: 1, Mid: "1", Kind: Video, Protocol: "UDP/TLS/RTP/SAVPF", Port: 9, Direction: SendOnly, Setup: ActPass,
		ICEUfrag: "Zk4p", ICEPwd: "pZ8oZ1h6S0JlyK0jGQyYvWfX", Fingerprints: []Fingerprint{fingerprint}, RTCPMux: true,
		Codecs: []Codec{
			{PayloadType: 96, Name: "VP8", ClockRate: 90000, Feedback: []string{"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}},
			{PayloadType: 97, Name: "rtx", ClockRate: 90000, Fmtp: "apt=96"},
			{PayloadType: 103, Name: "H264", ClockRate: 90000, Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", Feedback: []string{"transport-cc", "ccm fir", "nack", "nack pli"}},
			{PayloadType: 104, Name: "rtx", ClockRate: 90000, Fmtp: "apt=103"},
			{PayloadType: 45, Name: "AV1", ClockRate: 90000, Fmtp: "level-idx=5;profile=0;tier=0", Feedback: []string{"transport-cc", "nack pli"}},
			{PayloadType: 46, Name: "rtx", ClockRate: 90000, Fmtp: "apt=45"},
		},
		Extensions: []Extension{
			{14, "urn:ietf:params:rtp-hdrext:toffset"},
			{2, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"},
			{13, "urn:3gpp:video-orientation"},
			{3, "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"},
			{4, "urn:ietf:params:rtp-hdrext:sdes:mid"},
			{10, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"},
			{11, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"},
		},
		Msids:     []Msid{{"-", "7c1d7a30-5c10-4e1e-8b52-0a93f4a3f2c5"}},
		RIDs:      []RID{{ID: "f", Send: true}, {ID: "h", Send: true}, {ID: "q", Send: true}},
		Simulcast: Simulcast{Send: []string{"f", "h", "q"}},
	}
	if diff := cmp.Diff(want, video, cmpopts.IgnoreUnexported(Section{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("video: %s", diff)
	}
	audio := d.Section("0")
	if c := audio.Codecs[0]; c.Name != "opus" || c.ClockRate != 48000 || c.Channels != 2 || len(audio.Codecs) != 8 {
		t.Errorf("audio codecs: %+v", audio.Codecs)
	}
	if diff := cmp.Diff([]Source{{SSRC: 1001}}, audio.Sources); diff != "" {
		t.Errorf("audio sources: %s", diff)
	}
	if data := d.Section("2"); data.Kind != Application || !data.Live() || data.Setup != ActPass {
		t.Errorf("data: %+v", data)
	}
	if d.Section("3") != nil {
		t.Error("a section that is not there was found")
	}
}

func TestParseFirefox(t *testing.T) {
	d := mustParse(t, load(t, "firefox_offer.sdp"))
	if diff := cmp.Diff([]string{"1", "2"}, d.Mids()); diff != "" {
		t.Errorf("mids: %s", diff)
	}
	if ended := d.Sections[0]; ended.Live() || ended.Direction != Inactive || ended.Mid != "" {
		t.Errorf("ended: %+v", ended)
	}
	video := d.Section("2")
	if diff := cmp.Diff([]Source{{SSRC: 2002, RTX: 2003}}, video.Sources); diff != "" {
		t.Errorf("sources: %s", diff)
	}
	if len(video.Fingerprints) != 1 || !video.Direction.Sends() || !video.Direction.Receives() {
		t.Errorf("video: %+v", video)
	}
}

func TestParseForgives(t *testing.T) {
	text := load(t, "chromium_offer.sdp")
	want := mustParse(t, text).Text
	for name, variant := range map[string]string{
		"no last line end": strings.TrimSuffix(text, "\r\n"),
		"no last LF":       strings.TrimSuffix(text, "\n"),
		"bare LF":          strings.ReplaceAll(text, "\r\n", "\n"),
		"blank lines":      strings.ReplaceAll(text, "\r\nm=", "\r\n\r\nm=") + "\r\n\r\n",
	} {
		if diff := cmp.Diff(want, mustParse(t, variant).Text); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if want != text {
		t.Error("a good description was changed")
	}
}

func TestParseRepairs(t *testing.T) {
	text := edit(t, load(t, "chromium_offer.sdp"), "a=sendonly\r\n", "")
	for _, mid := range []string{"0", "1"} {
		if got := mustParse(t, text).Section(mid).Direction; got != SendRecv {
			t.Errorf("default direction of %q: %q", mid, got)
		}
	}
	text = edit(t, text, "a=extmap-allow-mixed\r\n", "a=extmap-allow-mixed\r\na=recvonly\r\n")
	d := mustParse(t, text)
	if got := d.Section("1").Direction; got != RecvOnly {
		t.Errorf("direction of the session part: %q", got)
	}
	if d.Section("2").Direction != "" || mustParse(t, d.Text).Text != d.Text {
		t.Errorf("repaired text:\n%s", d.Text)
	}

	good := "1 1 udp 2130706431 192.0.2.1 5000 typ host generation 0"
	text = edit(t, load(t, "chromium_offer.sdp"), "a=mid:0\r\n",
		"a=mid:0\r\na=candidate:"+good+"\r\na=candidate:1 1 udp 1 host.example 5000 typ host\r\na=candidate:bad\r\n")
	d = mustParse(t, text)
	if diff := cmp.Diff([]string{good}, d.Section("0").Candidates); diff != "" {
		t.Errorf("candidates: %s", diff)
	}
	if strings.Contains(d.Text, "host.example") || strings.Contains(d.Text, "candidate:bad") {
		t.Error("unusable candidates stayed in the text")
	}
}

func TestUsableCandidate(t *testing.T) {
	for value, want := range map[string]bool{
		"1 1 udp 2130706431 192.0.2.1 5000 typ host":                                      true,
		"a+/Z 1 UDP 1 2001:db8::1 5000 typ srflx raddr 0.0.0.0 rport 0 generation 0":      true,
		"1 1 tcp 1 192.0.2.1 9 typ host tcptype active":                                   true,
		"1 1 udp 1 0aa3.local 5000 typ host":                                              true,
		"1 1 udp 1 0aa3.local 5000 typ srflx":                                             false,
		"1 1 udp 1 192.0.2.1 65536 typ host":                                              false,
		"1 257 udp 1 192.0.2.1 5000 typ host":                                             false,
		"1 1 udp 4294967296 192.0.2.1 5000 typ host":                                      false,
		"1 1 sctp 1 192.0.2.1 5000 typ host":                                              false,
		"1 1 udp 1 192.0.2.1 5000 typ magic":                                              false,
		"1 1 udp 1 192.0.2.1 5000 type host":                                              false,
		"1 1 udp 1 192.0.2.1  5000 typ host":                                              false,
		"1 1 udp 1 fe80::1%eth0 5000 typ host":                                            false,
		"1 1 tcp 1 192.0.2.1 9 typ host tcptype sideways":                                 false,
		"1 1 udp 1 192.0.2.1 5000 typ host generation":                                    false,
		"1 1 udp 1 192.0.2.1 5000 typ srflx raddr 1.2.3.4":                                false,
		"1 1 udp 1 192.0.2.1 5000 typ host x é":                                           false,
		strings.Repeat("f", 33) + " 1 udp 2130706431 192.0.2.1 5000 typ host":             false,
		"foundation-with-minus 1 udp 2130706431 192.0.2.1 5000 typ host network-cost 999": false,
	} {
		if got := usableCandidate(value); got != want {
			t.Errorf("usableCandidate(%q) = %v, want %v", value, got, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	chromium := load(t, "chromium_offer.sdp")
	manyFormats := "m=audio 9 UDP/TLS/RTP/SAVPF" + strings.Repeat(" 1", maxFormats+1)
	for name, tt := range map[string]struct {
		text   string
		reason Reason
	}{
		"empty":               {"", Malformed},
		"only line ends":      {"\r\n\r\n", Malformed},
		"not SDP":             {"{\"type\":\"offer\"}", Malformed},
		"NUL":                 {edit(t, chromium, "a=mid:0", "a=mid:\x00"), Malformed},
		"CR in a line":        {edit(t, chromium, "a=mid:0", "a=mid:0\rx"), Malformed},
		"kind":                {edit(t, chromium, "m=audio", "m=image"), Malformed},
		"negative port":       {edit(t, chromium, "m=audio 9", "m=audio -9"), Malformed},
		"too long":            {strings.Repeat("a", MaxBytes+1), TooLarge},
		"too many lines":      {chromium + strings.Repeat("a=\r\n", MaxLines), TooLarge},
		"too long a line":     {chromium + "a=" + strings.Repeat("x", MaxLine), TooLarge},
		"too many sections":   {chromium + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxSections), TooLarge},
		"too many attributes": {chromium + strings.Repeat("a=x\r\n", maxAttributes+1), TooLarge},
		"too many formats":    {chromium + manyFormats + "\r\n", TooLarge},
	} {
		var refused *Error
		if _, err := Parse(tt.text); !errors.As(err, &refused) || refused.Reason != tt.reason {
			t.Errorf("%s: %v, want %v", name, err, tt.reason)
		} else if !strings.HasSuffix(refused.Sentence, ".") {
			t.Errorf("%s: no sentence: %q", name, refused.Sentence)
		}
	}
}

// The work limit bounds what pion spends on codecs.
func TestParseRefusesTooMuchWork(t *testing.T) {
	var text strings.Builder
	text.WriteString("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")
	formats := strings.Repeat(" 96", maxFormats)
	for range 12 {
		text.WriteString("m=audio 9 UDP/TLS/RTP/SAVPF" + formats + "\r\n" + strings.Repeat("a=x\r\n", maxAttributes-1))
	}
	var refused *Error
	if _, err := Parse(text.String()); !errors.As(err, &refused) || refused.Reason != TooLarge {
		t.Errorf("err = %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"chromium_offer.sdp", "firefox_offer.sdp", "pion_answer.sdp", "pion_offer.sdp"} {
		f.Add(load(f, name))
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || d != nil {
				t.Fatalf("refused with %T, description %v", err, d)
			}
			return
		}
		again, err := Parse(d.Text)
		if err != nil || again.Text != d.Text {
			t.Fatalf("the normal form is not stable: %v\n%q\n%q", err, d.Text, again.Text)
		}
	})
}

// BenchmarkParse shows the cost of a usual offer and of hostile ones.
func BenchmarkParse(b *testing.B) {
	chromium := load(b, "chromium_offer.sdp")
	for name, text := range map[string]string{
		"chromium":          chromium,
		"lines":             chromium + strings.Repeat("a=x\r\n", MaxLines+1),
		"bytes":             strings.Repeat("a", MaxBytes+1),
		"sections":          chromium + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxSections-3),
		"candidates":        chromium + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n", 10_000),
		"spaces":            chromium + strings.Repeat("m=audio 0 RTP/AVP"+strings.Repeat(" ", 8000)+"0\r\n", 60),
		"ssrc":              chromium + strings.Repeat(strings.Repeat("a=ssrc:1 x\r\n", 990)+"m=audio 0 RTP/AVP 0\r\n", 19),
		"session attribute": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n" + strings.Repeat("a=x\r\n", MaxLines-1100) + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", MaxSections),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := Parse(text)
				if err == nil {
					_ = ValidateOffer(d, nil)
				}
			}
		})
	}
}
