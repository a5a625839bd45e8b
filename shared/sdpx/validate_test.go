package sdpx

import (
	"errors"
	"strings"
	"testing"
)

func wantRefusal(t *testing.T, err error, reason Reason, part string) {
	t.Helper()
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("err = %v, want a refusal", err)
	}
	if refused.Reason != reason || !strings.Contains(refused.Sentence, part) {
		t.Errorf("refused as %v: %s\nwant %v with %q", refused.Reason, refused.Sentence, reason, part)
	}
	if !strings.HasSuffix(refused.Sentence, ".") {
		t.Errorf("not a sentence: %q", refused.Sentence)
	}
}

func TestValidateOffer(t *testing.T) {
	for name, tt := range map[string]struct {
		file string
		edit []string
		want string // "" = accepted
	}{
		"chromium":                  {file: "chromium_offer.sdp"},
		"firefox":                   {file: "firefox_offer.sdp"},
		"pion":                      {file: "pion_offer.sdp"},
		"active":                    {"chromium_offer.sdp", []string{"setup:actpass", "setup:active"}, ""},
		"no setup":                  {"chromium_offer.sdp", []string{"a=setup:actpass\r\n", ""}, ""},
		"ended sections":            {"chromium_offer.sdp", []string{"m=audio 9", "m=audio 0", "BUNDLE 0 1 2", "BUNDLE 1 2"}, ""},
		"everything ended":          {"chromium_offer.sdp", []string{" 9 UDP", " 0 UDP", "a=group:BUNDLE 0 1 2\r\n", ""}, ""},
		"bundle-only":               {"chromium_offer.sdp", []string{"m=video 9", "m=video 0", "a=mid:1\r\n", "a=mid:1\r\na=bundle-only\r\n"}, ""},
		"holdconn":                  {"chromium_offer.sdp", []string{"setup:actpass", "setup:holdconn"}, "a=setup:holdconn"},
		"mixed roles":               {"chromium_offer.sdp", []string{"a=setup:actpass\r\na=mid:1", "a=setup:active\r\na=mid:1"}, "share one DTLS transport"},
		"no mid":                    {"chromium_offer.sdp", []string{"a=mid:1\r\n", ""}, "no a=mid"},
		"mid twice":                 {"chromium_offer.sdp", []string{"a=mid:1", "a=mid:0"}, "twice"},
		"mid with a space":          {"chromium_offer.sdp", []string{"a=mid:1", "a=mid:1 1"}, "unusable mid"},
		"no BUNDLE":                 {"chromium_offer.sdp", []string{"a=group:BUNDLE 0 1 2\r\n", ""}, "BUNDLE group"},
		"another group first":       {"chromium_offer.sdp", []string{"a=group:BUNDLE", "a=group:LS 0 1\r\na=group:BUNDLE"}, "first a=group line"},
		"section outside BUNDLE":    {"chromium_offer.sdp", []string{"BUNDLE 0 1 2", "BUNDLE 0 1"}, `section "2" is not in`},
		"BUNDLE of nothing":         {"chromium_offer.sdp", []string{"BUNDLE 0 1 2", "BUNDLE 7 0 1 2"}, `mid "7"`},
		"BUNDLE twice":              {"chromium_offer.sdp", []string{"BUNDLE 0 1 2", "BUNDLE 0 1 2 0"}, "twice"},
		"bundle-only tag":           {"chromium_offer.sdp", []string{"m=audio 9", "m=audio 0", "a=mid:0\r\n", "a=mid:0\r\na=bundle-only\r\n"}, "needs a port"},
		"no ufrag":                  {"chromium_offer.sdp", []string{"a=ice-ufrag:Zk4p\r\n", ""}, "ice-ufrag"},
		"no pwd":                    {"chromium_offer.sdp", []string{"a=ice-pwd:pZ8oZ1h6S0JlyK0jGQyYvWfX\r\n", ""}, "ice-pwd"},
		"split credentials":         {"firefox_offer.sdp", []string{"a=group:", "a=ice-pwd:000000000000000000000000\r\na=group:"}, "one place"},
		"no fingerprint":            {"firefox_offer.sdp", []string{"a=fingerprint:", "a=x-fingerprint:"}, "no a=fingerprint"},
		"unknown hash":              {"firefox_offer.sdp", []string{"fingerprint:sha-256", "fingerprint:sha-257"}, "the hash is one of"},
		"short hash":                {"firefox_offer.sdp", []string{"sha-256 0B:", "sha-256 "}, "characters"},
		"bad hash":                  {"firefox_offer.sdp", []string{"sha-256 0B:", "sha-256 0G:"}, "hexadecimal"},
		"no rtcp-mux":               {"chromium_offer.sdp", []string{"a=rtcp-mux\r\n", ""}, "rtcp-mux"},
		"kind":                      {"chromium_offer.sdp", []string{"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "m=text 9 RTP/AVP 1"}, "kind text"},
		"protocol":                  {"chromium_offer.sdp", []string{"UDP/DTLS/SCTP webrtc", "DTLS/SCTP webrtc"}, "use UDP/DTLS/SCTP"},
		"two data sections":         {"chromium_offer.sdp", []string{"m=application 9", "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:9\r\nm=application 9", "BUNDLE 0 1 2", "BUNDLE 0 1 2 9"}, "2 data channel sections"},
		"payload type not a number": {"chromium_offer.sdp", []string{"SAVPF 111 63", "SAVPF opus 63"}, "0 to 127"},
		"payload type twice":        {"chromium_offer.sdp", []string{"SAVPF 111 63", "SAVPF 111 111"}, "twice"},
		"no rtpmap":                 {"chromium_offer.sdp", []string{"a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\n", ""}, "without an a=rtpmap"},
		"only fmtp":                 {"chromium_offer.sdp", []string{"a=rtpmap:63 red/48000/2\r\n", ""}, "without an a=rtpmap"},
		"no formats":                {"chromium_offer.sdp", []string{" 111 63 9 0 8 13 110 126", ""}, "no payload types"},
		"bad apt":                   {"chromium_offer.sdp", []string{"apt=96", "apt=ninety"}, "apt of 97"},
		"payload type clash":        {"chromium_offer.sdp", []string{"SAVPF 111 63", "SAVPF 96 63", ":111 ", ":96 ", "a=extmap:4 ", "a=x-extmap:4 "}, "payload type means one codec"},
		"clash with mids":           {"chromium_offer.sdp", []string{"SAVPF 111 63", "SAVPF 96 63", ":111 ", ":96 "}, ""},
		"clash in one kind":         {"pion_offer.sdp", []string{"m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 96", ":111 ", ":96 "}, "payload type means one codec"},
		"bad extmap":                {"chromium_offer.sdp", []string{"a=extmap:13 ", "a=extmap:thirteen "}, "a=extmap:thirteen"},
		"plan B":                    {"chromium_offer.sdp", []string{"a=ssrc:1001 msid", "a=ssrc:1002 msid"}, "a=rid"},
		"RTX is no second track":    {"firefox_offer.sdp", []string{"a=ssrc-group:FID 2002 2003", "a=ssrc-group:SIM 2002 2003"}, "a=rid"},
	} {
		t.Run(name, func(t *testing.T) {
			err := ValidateOffer(mustParse(t, edit(t, load(t, tt.file), tt.edit...)), nil)
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantRefusal(t, err, Unusable, tt.want)
		})
	}
	const noSections = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	wantRefusal(t, ValidateOffer(mustParse(t, noSections), nil), Unusable, "no media section")
}

func TestValidateOfferFollowsThePrevious(t *testing.T) {
	text := load(t, "chromium_offer.sdp")
	previous := mustParse(t, text)
	ended := mustParse(t, edit(t, text, "m=audio 9", "m=audio 0", "BUNDLE 0 1 2", "BUNDLE 1 2"))
	if err := ValidateOffer(mustParse(t, text), previous); err != nil {
		t.Errorf("the same again: %v", err)
	}
	recycled := edit(t, text, "a=mid:0", "a=mid:5", "BUNDLE 0", "BUNDLE 5")
	if err := ValidateOffer(mustParse(t, recycled), ended); err != nil {
		t.Errorf("a recycled section: %v", err)
	}
	wantRefusal(t, ValidateOffer(mustParse(t, recycled), previous), Mismatch, `audio with mid "0"`)
	data := strings.Index(text, "m=application")
	shorter := mustParse(t, edit(t, text[:data], "BUNDLE 0 1 2", "BUNDLE 0 1"))
	wantRefusal(t, ValidateOffer(shorter, previous), Mismatch, "2 media sections, the session has 3")
}

func TestValidateOfferNamesEndedSections(t *testing.T) {
	text := load(t, "firefox_offer.sdp")
	fresh := mustParse(t, text)
	if err := ValidateOffer(fresh, nil); err != nil {
		t.Fatal(err)
	}
	if got := fresh.Sections[0].Mid; got != "ended0" {
		t.Errorf("mid %q", got)
	}
	previous := mustParse(t, edit(t, text, "m=video 0", "m=video 9", "a=inactive\r\n", "a=inactive\r\na=mid:0\r\na=rtcp-mux\r\n", "BUNDLE 1", "BUNDLE 0 1"))
	again := mustParse(t, text)
	if err := ValidateOffer(again, previous); err != nil {
		t.Fatal(err)
	}
	if got := again.Sections[0].Mid; got != "0" {
		t.Errorf("mid %q, want the one it had", got)
	}
	if reparsed := mustParse(t, again.Text); reparsed.Sections[0].Mid != "0" || len(reparsed.Sections) != 3 {
		t.Errorf("text:\n%s", again.Text)
	}
}

// answerTo is pion's answer shaped to fit the chromium offer's media.
func answerTo(t *testing.T) (answer string, offer *Description) {
	offer = mustParse(t, edit(t, load(t, "pion_offer.sdp"), "BUNDLE 0 1 s2", "BUNDLE 0 1", "a=inactive", "a=sendonly", "a=recvonly", "a=sendonly"))
	offer.Sections = offer.Sections[:2]
	return load(t, "pion_answer.sdp"), offer
}

func TestValidateAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		edit   []string
		reason Reason
		want   string
	}{
		"good":             {},
		"passive":          {edit: []string{"setup:active", "setup:passive"}},
		"inactive":         {edit: []string{"a=recvonly", "a=inactive"}},
		"rejected":         {edit: []string{"m=video 9", "m=video 0", "BUNDLE 0 1", "BUNDLE 0"}},
		"rejected, no mid": {edit: []string{"m=video 9", "m=video 0", "BUNDLE 0 1", "BUNDLE 0", "a=mid:1\r\n", ""}},
		"actpass":          {[]string{"setup:active", "setup:actpass"}, Unusable, "active or passive"},
		"no setup":         {[]string{"a=setup:active\r\n", ""}, Unusable, "active or passive"},
		"wrong mid":        {[]string{"a=mid:1", "a=mid:2", "BUNDLE 0 1", "BUNDLE 0 2"}, Mismatch, `mid "2"`},
		"wrong kind":       {[]string{"m=video", "m=audio"}, Mismatch, "is audio"},
		"direction":        {[]string{"a=recvonly", "a=sendrecv"}, Mismatch, "answers sendonly with sendrecv"},
		"no credentials":   {[]string{"ice-ufrag:", "x-ufrag:"}, Unusable, "ice-ufrag"},
	} {
		t.Run(name, func(t *testing.T) {
			text, offer := answerTo(t)
			err := ValidateAnswer(mustParse(t, edit(t, text, tt.edit...)), offer)
			if tt.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantRefusal(t, err, tt.reason, tt.want)
		})
	}
	text, offer := answerTo(t)
	longer := mustParse(t, load(t, "pion_offer.sdp"))
	wantRefusal(t, ValidateAnswer(mustParse(t, text), longer), Mismatch, "the offer has 3")
	offer.Sections[1].Port = 0
	wantRefusal(t, ValidateAnswer(mustParse(t, text), offer), Mismatch, "must be 0")
	text, offer = answerTo(t)
	offer.Bundle = []string{"0"}
	wantRefusal(t, ValidateAnswer(mustParse(t, text), offer), Mismatch, "not in the offer's group")
}

func TestReasonsHaveNames(t *testing.T) {
	for r, want := range map[Reason]string{Malformed: "malformed", TooLarge: "too large", Unusable: "unusable", Mismatch: "mismatch", 0: "unknown"} {
		if r.String() != want {
			t.Errorf("%d is %q", r, r)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, name := range []string{"chromium_offer.sdp", "firefox_offer.sdp", "pion_answer.sdp", "pion_offer.sdp"} {
		f.Add(load(f, name), load(f, "pion_offer.sdp"))
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		o, err := Parse(other)
		if err != nil {
			return
		}
		check := func(err error) {
			var refused *Error
			if err != nil && (!errors.As(err, &refused) || refused.Sentence == "") {
				t.Fatalf("refused with %T %v", err, err)
			}
		}
		check(ValidateAnswer(d, o))
		if err := ValidateOffer(d, o); err != nil {
			check(err)
			return
		}
		// What passed passes again, and follows itself.
		again, err := Parse(d.Text)
		if err != nil {
			t.Fatalf("the validated text does not parse: %v", err)
		}
		if err := ValidateOffer(again, d); err != nil {
			t.Fatalf("accepted, then refused: %v\n%s", err, d.Text)
		}
	})
}
