package wire_test

import (
	"errors"
	"strings"
	"testing"

	"switchboard/shared/wire"
)

const ref = `"app":"a","session":"7d3f2b6c90a14e58b1c2d3e4f5061728"`

func TestDecodeRefuses(t *testing.T) {
	list := func(entry string, n int) string { return strings.TrimSuffix(strings.Repeat(entry+",", n), ",") }
	for _, tc := range []struct{ name, text, says string }{
		{"create", `{`, "unexpected end"},
		{"create", `{"app":"a b","session":"x"}`, "app id"},
		{"create", `{"app":"a","session":"7D3F"}`, "session id"},
		{"create", `{` + ref + `,"sessionDescription":{"type":"rollback","sdp":""}}`, "rollback"},
		{"create", `{` + ref + `,"sessionDescription":{"type":"offer","sdp":"` + strings.Repeat("x", wire.MaxSDP+1) + `"}}`, "at most 524288"},
		{"tracksNew", `{` + ref + `}`, "no tracks and no autoDiscover"},
		{"tracksNew", `{` + ref + `,"push":[{"trackName":"a"}],"pull":[{"session":"x","trackName":"a"}]}`, "push and pull"},
		{"tracksNew", `{` + ref + `,"push":[` + list(`{"trackName":"a"}`, 65) + `]}`, "65 tracks"},
		{"tracksNew", `{` + ref + `,"push":[{"trackName":"a"},{"trackName":""}]}`, "push[1]"},
		{"tracksNew", `{` + ref + `,"pull":[{"session":"x","trackName":"a","origin":{"worker":"w"}}]}`, "pull[0]"},
		{"tracksNew", `{` + ref + `,"pull":[{"session":"7d3f2b6c90a14e58b1c2d3e4f5061728","trackName":"a","origin":{"worker":"a.b"}}]}`, "worker id"},
		{"tracksClose", `{` + ref + `,"force":true}`, "no mids"},
		{"tracksClose", `{` + ref + `,"mids":["0"]}`, "sessionDescription is required"},
		{"tracksClose", `{` + ref + `,"force":true,"mids":[` + list(`"0"`, 65) + `]}`, "65 mids"},
		{"renegotiate", `{` + ref + `}`, "sessionDescription.type"},
		{"renew", `{"worker":"w","sessions":[` + list(`{`+ref+`,"rev":1}`, wire.MaxLeases+1) + `]}`, "201 sessions"},
		{"announce", `{"worker":"","sessions":[]}`, "worker id"},
		{"heartbeat", `{"worker":"w","state":"asleep"}`, "asleep"},
		{"bye", `{"worker":"no spaces"}`, "worker id"},
		{"located", `{` + ref + `}`, "worker id"},
		{"drain", `{"deadlineMs":-1}`, "deadlineMs"},
		{"snapshot", `{"heartbeat":{"worker":"w","state":""}}`, "state"},
		{"sessionState", `{"app":"a"}`, "session id"},
	} {
		_, err := decode(tc.name, []byte(tc.text))
		if !errors.Is(err, wire.ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s %.120s: %v, want %q", tc.name, tc.text, err, tc.says)
		}
	}
}

func TestDecodeIgnoresUnknownFields(t *testing.T) {
	if _, err := decode("create", []byte(`{`+ref+`,"newer":{"field":[1]}}`)); err != nil {
		t.Error(err)
	}
}

// A client may name any text as the publisher: without an origin it is the
// item's failure, not the command's.
func TestPullOfAnyTextIsValid(t *testing.T) {
	if _, err := decode("tracksNew", []byte(`{`+ref+`,"pull":[{"session":"no such id","trackName":"a"},{"session":"","trackName":"a"}]}`)); err != nil {
		t.Error(err)
	}
}

func TestWorkerOfEvent(t *testing.T) {
	for subject, want := range map[string]string{
		wire.HeartbeatSubject("w-1"): "w-1", wire.ByeSubject("w-1"): "w-1",
		"sfu.v1.evt.worker.": "", "other": "other", "": "",
	} {
		got, err := wire.WorkerOfEvent(subject)
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", subject, got, err)
		}
	}
}
