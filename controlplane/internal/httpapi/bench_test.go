package httpapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkPush is the edge's own cost of a push with a browser-sized offer:
// routing, authentication, decoding and encoding, without sockets.
func BenchmarkPush(b *testing.B) {
	h := newHarness(b, nil)
	h.calls.say(pushed)
	sdp := strings.Repeat(`a=rtpmap:111 opus/48000/2\r\n`, 200)
	body := `{"sessionDescription":{"type":"offer","sdp":"` + sdp + `"},"tracks":[{"location":"local","mid":"0","trackName":"mic"}]}`
	path := "/sessions/" + session + "/tracks/new"
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, request("POST", path, body))
		if w.Code != 200 {
			b.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
}
