package peer_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pion/logging"
	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/netio"
	"switchboard/mediaworker/internal/peer"
	"switchboard/shared/sdpx"
)

// The validator and pion must agree: what sdpx accepts, pion applies, because
// pion cannot roll back. The descriptions under test are mutated line by line
// from real ones.

var offerSeeds = []string{"chromium_offer.sdp", "firefox_offer.sdp", "pion_offer.sdp"}

func seed(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "sdpx", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tokens are what mutation puts in the place of a word.
var tokens = []string{
	"0", "1", "9", "96", "97", "111", "127", "128", "255", "256", "65535", "-1", "", "x", "audio", "video", "application",
	"text", "BUNDLE", "LS", "actpass", "active", "passive", "holdconn", "sendrecv", "inactive", "send", "recv", "rtx/90000",
	"VP8/90000", "opus/48000/2", "apt=96", "apt=x", "sha-1", "sha-256", "FID", "SIM", "msid:a", "udp", "tcp", "typ", "host",
	"127.0.0.1", "0.0.0.0", "4294967295", "4294967296", "~1", "*", "nack", "1 2", "\xff", "é", "%zz", "RTP/AVP",
}

// mutate edits lines as the recipe says: three bytes for one edit.
func mutate(text string, recipe []byte) string {
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	const maxEdits = 6
	for n := 0; n < maxEdits && len(recipe) >= 4 && len(lines) > 0; n++ {
		op, what := recipe[0], recipe[3]
		at := int(binary.BigEndian.Uint16(recipe[1:])) % len(lines)
		recipe = recipe[4:]
		switch op % 6 {
		case 0: // drop a line
			lines = append(lines[:at:at], lines[at+1:]...)
		case 1: // repeat a line elsewhere
			to := (at + int(what)) % len(lines)
			lines = append(lines[:to:to], append([]string{lines[at]}, lines[to:]...)...)
		case 2: // exchange two lines
			to := (at + int(what)) % len(lines)
			lines[at], lines[to] = lines[to], lines[at]
		case 3: // replace a word
			lines[at] = replaceWord(lines[at], int(what), tokens[(int(op)/6*256+int(what))%len(tokens)])
		case 4: // repeat from a line to the end
			lines = append(lines, lines[at:]...)
		case 5: // cut the end off
			lines = lines[:at]
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// replaceWord replaces the n-th word of a line; words end at blanks and colons.
func replaceWord(line string, n int, token string) string {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == ':' || r == '=' || r == ';' || r == '/' })
	if len(words) == 0 {
		return line
	}
	return strings.Replace(line, words[n%len(words)], token, 1)
}

// addRecipes seeds a fuzz target with single edits of every third line.
func addRecipes(f *testing.F, seeds int) {
	for s := range seeds {
		f.Add(uint8(s), []byte{})
		for line := 0; line < 100; line += 3 {
			for op := range 6 {
				f.Add(uint8(s), []byte{byte(op), 0, byte(line), byte(7*line + op)})
			}
		}
	}
}

func quiet() webrtc.SettingEngine {
	factory := logging.NewDefaultLoggerFactory()
	factory.DefaultLogLevel = logging.LogLevelDisabled
	return webrtc.SettingEngine{LoggerFactory: factory}
}

// plainPeer is a stock pion connection that never uses the network.
func plainPeer(t testing.TB) *webrtc.PeerConnection {
	t.Helper()
	settings := quiet()
	settings.SetLite(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetInterfaceFilter(func(string) bool { return false })
	engine := &webrtc.MediaEngine{}
	if err := engine.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(engine)).NewPeerConnection(webrtc.Configuration{
		SDPSemantics: webrtc.SDPSemanticsUnifiedPlan,
	})
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

func closePeer(t testing.TB, pc *webrtc.PeerConnection) {
	t.Helper()
	if err := pc.GracefulClose(); err != nil {
		t.Error(err)
	}
}

// FuzzOfferAppliesToPion: an accepted offer is applied and answered by stock
// pion, with a section for each of the offer's.
func FuzzOfferAppliesToPion(f *testing.F) {
	seeds := make([]string, len(offerSeeds))
	for i, name := range offerSeeds {
		seeds[i] = seed(f, name)
	}
	addRecipes(f, len(seeds))
	f.Fuzz(func(t *testing.T, which uint8, recipe []byte) {
		offer, err := sdpx.Parse(mutate(seeds[int(which)%len(seeds)], recipe))
		if err != nil || sdpx.ValidateOffer(offer, nil) != nil {
			return
		}
		pc := plainPeer(t)
		defer closePeer(t, pc)
		if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer.Text}); err != nil {
			t.Fatalf("accepted, but pion says %v\n%s", err, offer.Text)
		}
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			t.Fatalf("accepted, but pion cannot answer: %v\n%s", err, offer.Text)
		}
		if err := pc.SetLocalDescription(answer); err != nil {
			t.Fatalf("accepted, but pion cannot apply its answer: %v\n%s", err, offer.Text)
		}
		if got := strings.Count(answer.SDP, "\r\nm="); got != len(offer.Sections) {
			t.Fatalf("pion answers %d of %d sections\n%s\n%s", got, len(offer.Sections), offer.Text, answer.SDP)
		}
	})
}

// FuzzAnswerAppliesToPion: an accepted answer is applied by stock pion.
func FuzzAnswerAppliesToPion(f *testing.F) {
	addRecipes(f, 1)
	f.Fuzz(func(t *testing.T, _ uint8, recipe []byte) {
		server, client := plainPeer(t), plainPeer(t)
		defer closePeer(t, server)
		defer closePeer(t, client)
		offer := offerOf(t, server)
		answer, err := sdpx.Parse(mutate(answerOf(t, client, offer), recipe))
		if err != nil {
			return
		}
		sent, err := sdpx.Parse(offer)
		if err != nil {
			t.Fatal(err)
		}
		if sdpx.ValidateAnswer(answer, sent) != nil {
			return
		}
		if err := server.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer.Text}); err != nil {
			t.Fatalf("accepted, but pion says %v\n%s", err, answer.Text)
		}
	})
}

// offerOf makes and applies an offer that sends and receives both kinds.
func offerOf(t testing.TB, pc *webrtc.PeerConnection) string {
	t.Helper()
	for _, mime := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, "track", "stream")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
			t.Fatal(err)
		}
		if _, err := pc.AddTransceiverFromKind(track.Kind(), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	return offer.SDP
}

func answerOf(t testing.TB, pc *webrtc.PeerConnection, offer string) string {
	t.Helper()
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		t.Fatal(err)
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer.SDP
}

// FuzzOfferAppliesToPeer: an accepted offer is answered by a worker's peer, and
// its answer is one that the client can check against its offer.
func FuzzOfferAppliesToPeer(f *testing.F) {
	mux, err := netio.Listen(netio.Config{UDP: []string{"127.0.0.1:0"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = mux.Close() })
	factory, err := peer.NewFactory(peer.Config{Mux: mux, Candidates: []sdpx.Candidate{{Address: mux.Addresses()[0]}}})
	if err != nil {
		f.Fatal(err)
	}
	seeds := make([]string, len(offerSeeds))
	for i, name := range offerSeeds {
		seeds[i] = seed(f, name)
	}
	addRecipes(f, len(seeds))
	f.Fuzz(func(t *testing.T, which uint8, recipe []byte) {
		offer, err := sdpx.Parse(mutate(seeds[int(which)%len(seeds)], recipe))
		if err != nil || sdpx.ValidateOffer(offer, nil) != nil {
			return
		}
		p, err := factory.New(peer.Options{CNAME: "test"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		text, err := p.Answer(offer, nil)
		if err != nil {
			t.Fatalf("accepted, but the peer says %v\n%s", err, offer.Text)
		}
		answer, err := sdpx.Parse(text)
		if err != nil {
			t.Fatalf("the answer does not parse: %v\n%s", err, text)
		}
		if err := sdpx.ValidateAnswer(answer, offer); err != nil && len(offer.Mids()) > 0 {
			t.Fatalf("the answer does not fit: %v\n%s\n%s", err, offer.Text, text)
		}
	})
}
