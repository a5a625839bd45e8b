package session

import (
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// A browser that ends the first section of its bundle drops its transport and
// starts another one: a new PeerConnection with the same mids stands for it.
func TestFreshPeerOnChangedBundleTag(t *testing.T) {
	r := newRig(t)
	speaker, viewer, other := r.client(0), r.client(0), r.client(0)
	mic, cam := speaker.send("mic", wire.Audio, 0), speaker.send("cam", wire.Video, 65000)
	speaker.push(mic, cam)
	other.push(other.send("tone", wire.Audio, 0), other.send("film", wire.Video, 0))
	pulled := speaker.pull(other, "tone", "film")
	speaker.waitPackets(5, pulled...)
	seen := viewer.pull(speaker, "cam")[0]
	viewer.waitPackets(5, seen)

	again := r.client(webrtc.DTLSRoleServer)
	again.id = speaker.id
	again.send("mic", wire.Audio, 0)
	again.send("cam", wire.Video, 65000)
	for i, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo} {
		tr, err := again.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.SetMid(pulled[i]); err != nil {
			t.Fatal(err)
		}
	}
	before := r.session(speaker.id).peer
	offer := again.offer()
	offer.SDP = endSection(offer.SDP, "0")
	reply, err := r.do(wire.OpTracksClose, &wire.TracksClose{SessionRef: speaker.ref(), Mids: []string{"0"}, SessionDescription: offer})
	if err != nil {
		t.Fatal(err)
	}
	if r.session(speaker.id).peer == before {
		t.Error("the peer was not replaced")
	}
	if !strings.Contains(reply.SessionDescription.SDP, "a=group:BUNDLE 1 "+strings.Join(pulled, " ")+"\r\n") ||
		!strings.HasPrefix(sectionText(reply.SessionDescription.SDP, "0"), "m=audio 0 ") {
		t.Errorf("answer does not leave out the ended section:\n%s", reply.SessionDescription.SDP)
	}
	again.apply(reply.SessionDescription)
	again.waitPackets(10, pulled...)
	speaker.close() // the old transport's end is not the session's
	viewer.waitPackets(10, seen)
	again.waitPackets(10, pulled...)
	if got := r.state(speaker.id); got.Connection != wire.ConnectionConnected || got.Tracks[0].Status != wire.StatusInactive {
		t.Errorf("state is %+v", got)
	}
	// Further calls go to the fresh peer, in both directions.
	again.waitPackets(5, again.pull(other, "tone")...)
	viewer.waitPackets(5, viewer.pull(speaker, "cam")...)
}

// endSection makes a section of an offer what a browser makes of a stopped one.
func endSection(sdp, mid string) string {
	text := sectionText(sdp, mid)
	ended := strings.Replace(text, " 9 ", " 0 ", 1)
	for _, d := range []string{"sendrecv", "sendonly", "recvonly"} {
		ended = strings.Replace(ended, "a="+d+"\r\n", "a=inactive\r\n", 1)
	}
	sdp = strings.Replace(sdp, text, ended, 1)
	lines := strings.Split(sdp, "\r\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "a=group:BUNDLE") {
			var kept []string
			for _, field := range strings.Fields(line) {
				if field != mid {
					kept = append(kept, field)
				}
			}
			lines[i] = strings.Join(kept, " ")
		}
	}
	return strings.Join(lines, "\r\n")
}

// A transport that the client closed is replaced at its next offer.
func TestFreshPeerAfterClose(t *testing.T) {
	r := newRig(t)
	speaker, viewer := r.client(0), r.client(0)
	speaker.push(speaker.send("mic", wire.Audio, 0))
	mid := viewer.pull(speaker, "mic")[0]
	viewer.waitPackets(5, mid)
	speaker.close()
	testkit.Eventually(t, "the transport to end", func() bool { return r.state(speaker.id).Connection != wire.ConnectionConnected })

	again := r.client(0)
	again.id = speaker.id
	again.push(again.send("mic", wire.Audio, 0))
	viewer.waitPackets(10, mid)
}
