package session

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/webrtc/v4"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

func TestRepublishOnSameMid(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	cam := publisher.send("cam", wire.Video, 100)
	publisher.push(cam)
	mid := viewer.pull(publisher, "cam")[0]
	viewer.waitPackets(5, mid)

	// The same push again is the same publication: its viewers see no change.
	reply := publisher.push(cam)
	if reply.Publications != nil {
		t.Errorf("pushing the same track again changed the publications: %v", *reply.Publications)
	}
	viewer.waitPackets(5, mid)

	closed, err := r.do(wire.OpTracksClose, &wire.TracksClose{SessionRef: publisher.ref(), Mids: []string{cam.tr.Mid(), "nope"}, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if closed.Tracks[0].Fault != nil || closed.Tracks[1].Fault == nil || closed.Tracks[1].Mid != "nope" || closed.SessionDescription != nil {
		t.Errorf("forced close answered %+v", closed)
	}
	if _, err := viewer.pullOffer(nil); err == nil {
		t.Error("an empty pull succeeded")
	}
	cam.name = "cam2"
	reply = publisher.push(cam)
	if text := sectionText(reply.SessionDescription.SDP, cam.tr.Mid()); !strings.Contains(text, "a=recvonly\r\n") {
		t.Errorf("the answer does not take the track, so that browsers do not send it:\n%s", text)
	}
	if diff := cmp.Diff(&[]wire.Publication{{TrackName: "cam2", Mid: cam.tr.Mid(), Kind: wire.Video, Generation: 1}}, reply.Publications); diff != "" {
		t.Error("publications (-want +got):\n", diff)
	}
	mid2 := viewer.pull(publisher, "cam2")[0]
	if mid2 == mid {
		t.Error("the section of a track that the client has not seen end was used again")
	}
	viewer.waitPackets(5, mid2)
}

func TestOfferWhileAnswerIsOwed(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.push(publisher.send("mic", wire.Audio, 0))
	reply, err := viewer.pullOffer(pulls(publisher, "mic"))
	if err != nil {
		t.Fatal(err)
	}
	other := r.client(0) // stands for the same client: its offer is the session's
	other.send("late", wire.Audio, 0)
	offer := other.offer()
	_, err = r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer.ref(), SessionDescription: offer, Push: []wire.Push{{Mid: "0", TrackName: "late"}}})
	wantFault(t, err, fault.HaveLocalOffer)
	_, err = viewer.pullOffer(pulls(publisher, "mic"))
	wantFault(t, err, fault.HaveLocalOffer)
	_, err = r.do(wire.OpTracksClose, &wire.TracksClose{SessionRef: viewer.ref(), Mids: []string{"0"}, SessionDescription: offer})
	wantFault(t, err, fault.HaveLocalOffer)

	viewer.renegotiate(reply.SessionDescription)
	viewer.waitPackets(5, reply.Tracks[0].Mid)
	_, err = r.do(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: viewer.ref(), SessionDescription: wire.SessionDescription{Type: wire.Answer, SDP: offer.SDP}})
	wantFault(t, err, fault.HaveNoOffer)
	viewer.push(viewer.send("late", wire.Audio, 0))
}

func TestBadOffersChangeNothing(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	mic := publisher.send("mic", wire.Audio, 0)
	publisher.push(mic)
	mid := viewer.pull(publisher, "mic")[0]
	good := publisher.offer()
	bad := map[string]string{
		"no sections": "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
		"not SDP":     "hello",
		"no ICE":      strings.ReplaceAll(good.SDP, "a=ice-ufrag", "a=x-ufrag"),
		"lost mids":   strings.ReplaceAll(good.SDP, "a=mid:0", "a=mid:9"),
	}
	for name, sdp := range bad {
		t.Run(name, func(t *testing.T) {
			_, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(),
				SessionDescription: &wire.SessionDescription{Type: wire.Offer, SDP: sdp}, Push: []wire.Push{{Mid: "0", TrackName: "x"}}})
			wantFault(t, err, fault.InvalidSessionDescription)
		})
	}
	_, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(),
		SessionDescription: &wire.SessionDescription{Type: wire.Answer, SDP: good.SDP}, Push: []wire.Push{{Mid: "0", TrackName: "x"}}})
	wantFault(t, err, fault.InvalidSessionDescription)
	// The client still has its offer outstanding; the same one is good now.
	reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(), SessionDescription: good,
		Push: []wire.Push{{Mid: "0", TrackName: "mic"}, {Mid: "7", TrackName: "seven"}, {Mid: "0", TrackName: "mic"}}})
	if err != nil {
		t.Fatal(err)
	}
	publisher.apply(reply.SessionDescription)
	if f := reply.Tracks[1].Fault; f == nil || f.Code != fault.InvalidParams.Code || reply.Tracks[1].Mid != "" {
		t.Errorf("push on a mid that is not in the offer: %+v", reply.Tracks[1])
	}
	viewer.waitPackets(5, mid)
}

func TestUnlistedSectionIsPublishedLater(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	mic, cam := publisher.send("mic", wire.Audio, 0), publisher.send("cam", wire.Video, 0)
	reply := publisher.push(mic)
	if !strings.Contains(sectionText(reply.SessionDescription.SDP, cam.tr.Mid()), "a=recvonly") {
		t.Error("a section that the push does not list is not received")
	}
	mid := viewer.pull(publisher, "mic")[0]
	viewer.waitPackets(5, mid)
	publisher.push(cam)
	viewer.waitPackets(5, viewer.pull(publisher, "cam")...)
}

// sectionText is the media section of that mid.
func sectionText(sdp, mid string) string {
	for _, part := range strings.Split(sdp, "\r\nm=")[1:] {
		if strings.Contains(part, "a=mid:"+mid+"\r\n") {
			return "m=" + part
		}
	}
	return ""
}

func TestRepeatedNames(t *testing.T) {
	r := newRig(t)
	publisher := r.client(0)
	a, b := publisher.send("same", wire.Audio, 0), publisher.send("same", wire.Audio, 0)
	offer := publisher.offer()
	reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(), Create: true, SessionDescription: offer,
		Push: []wire.Push{{Mid: a.tr.Mid(), TrackName: "same"}, {Mid: b.tr.Mid(), TrackName: "same"}}})
	if err != nil {
		t.Fatal(err)
	}
	if reply.Tracks[0].Fault != nil || reply.Tracks[1].Fault == nil || reply.Tracks[1].Fault.Code != fault.RepeatedLocalTrack.Code {
		t.Errorf("results are %+v", reply.Tracks)
	}
}

func TestAutoDiscover(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.send("mic", wire.Audio, 0)
	publisher.send("cam", wire.Video, 0)
	reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(), Create: true, SessionDescription: publisher.offer(), AutoDiscover: true})
	if err != nil {
		t.Fatal(err)
	}
	publisher.apply(reply.SessionDescription)
	if len(reply.Tracks) != 2 || reply.Tracks[0].Kind != wire.Audio || reply.Tracks[1].Kind != wire.Video {
		t.Fatalf("discovered %+v", reply.Tracks)
	}
	viewer.waitPackets(5, viewer.pull(publisher, string(reply.Tracks[0].TrackName), string(reply.Tracks[1].TrackName))...)
}

func TestPullWithClientsOffer(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.push(publisher.send("mic", wire.Audio, 0), publisher.send("cam", wire.Video, 0))
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := viewer.pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			t.Fatal(err)
		}
	}
	reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer.ref(), Create: true, SessionDescription: viewer.offer(), Pull: pulls(publisher, "mic", "cam", "mic")})
	if err != nil {
		t.Fatal(err)
	}
	viewer.apply(reply.SessionDescription)
	if reply.SessionDescription.Type != wire.Answer || reply.Tracks[0].Mid != "1" || reply.Tracks[1].Mid != "0" {
		t.Errorf("reply is %+v", reply)
	}
	if f := reply.Tracks[2].Fault; f == nil || f.Code != fault.InvalidParams.Code {
		t.Errorf("the item without a section: %+v", reply.Tracks[2])
	}
	viewer.waitPackets(5, "0", "1")
}

func TestBidirectional(t *testing.T) {
	r := newRig(t)
	one, two := r.client(0), r.client(0)
	mic := two.send("mic", wire.Audio, 0)
	two.push(mic)

	user := one.send("user-mic", wire.Audio, 0)
	receiverOf(t, one, user)
	reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: one.ref(), Create: true, SessionDescription: one.offer(),
		Push: []wire.Push{{Mid: user.tr.Mid(), TrackName: "user-mic", Bidirectional: true, Kind: wire.Audio}}})
	if err != nil {
		t.Fatal(err)
	}
	text := sectionText(reply.SessionDescription.SDP, user.tr.Mid())
	if !strings.Contains(text, "a=sendrecv") || !strings.Contains(text, "a=msid:") {
		t.Errorf("answer is not sendrecv with an msid:\n%s", text)
	}
	one.apply(reply.SessionDescription)

	into := pulls(two, "mic")
	into[0].Mid = "#user-mic"
	reply, err = r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: one.ref(), Pull: into})
	if err != nil {
		t.Fatal(err)
	}
	if reply.SessionDescription != nil || reply.Tracks[0].Fault != nil || reply.Tracks[0].Mid != user.tr.Mid() {
		t.Errorf("pull into a section: %+v", reply)
	}
	one.waitPackets(5, user.tr.Mid())

	// A second pull replaces the source; numbers go on without a hole.
	three := r.client(0)
	three.push(three.send("mic", wire.Audio, 40000))
	into[0].Session = three.id
	if reply, err = r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: one.ref(), Pull: into}); err != nil || reply.Tracks[0].Fault != nil {
		t.Fatal(reply, err)
	}
	two.close()
	one.waitPackets(20, user.tr.Mid())
	if n := gaps(one.received(user.tr.Mid())); n > 0 {
		t.Errorf("%d holes after the source was replaced", n)
	}
}

// receiverOf makes the source's transceiver sendrecv, as a browser's sendrecv
// transceiver is.
func receiverOf(t *testing.T, c *client, s *source) {
	t.Helper()
	if err := c.pc.RemoveTrack(s.tr.Sender()); err != nil {
		t.Fatal(err)
	}
	tr, err := c.pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendrecv})
	if err != nil {
		t.Fatal(err)
	}
	s.tr = tr
}

func TestPushWhereTheSFUOffers(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	for _, bidirectional := range []bool{false, true} {
		name := map[bool]string{false: "plain", true: "both"}[bidirectional]
		reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: publisher.ref(), Create: true,
			Push: []wire.Push{{TrackName: ids.TrackName(name), Kind: wire.Audio, Bidirectional: bidirectional}, {TrackName: "kindless"}}})
		if err != nil {
			t.Fatal(err)
		}
		if reply.Tracks[0].Fault != nil || reply.Tracks[0].Mid == "" || reply.Tracks[1].Fault == nil {
			t.Fatalf("results are %+v", reply.Tracks)
		}
		publisher.apply(reply.SessionDescription)
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, name, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range publisher.pc.GetTransceivers() {
			if tr.Mid() == reply.Tracks[0].Mid {
				sender, err := publisher.pc.AddTrack(track)
				if err != nil || tr.Sender() != sender {
					t.Fatal("the client's track went elsewhere:", err)
				}
			}
		}
		answer, err := publisher.pc.CreateAnswer(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := publisher.pc.SetLocalDescription(answer); err != nil {
			t.Fatal(err)
		}
		if _, err := r.do(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: publisher.ref(), SessionDescription: wire.SessionDescription{Type: wire.Answer, SDP: answer.SDP}}); err != nil {
			t.Fatal(err)
		}
		publisher.work.Go(func() { publisher.feed(&source{track: track}, 0) })
		viewer.waitPackets(5, viewer.pull(publisher, name)...)
	}
}

func TestPullWaitsForItsPublisher(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	if _, err := r.do(wire.OpCreate, &wire.Create{SessionRef: publisher.ref()}); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		reply *wire.Reply
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		reply, err := viewer.pullOffer(pulls(publisher, "cam"))
		done <- outcome{reply, err}
	}()
	publisher.push(publisher.send("cam", wire.Video, 0))
	got := <-done
	if got.err != nil || got.reply.Tracks[0].Fault != nil {
		t.Fatalf("pull: %+v, %v", got.reply, got.err)
	}
	viewer.renegotiate(got.reply.SessionDescription)
	viewer.waitPackets(5, got.reply.Tracks[0].Mid)
}

func TestFailedPullLeavesNothing(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.push(publisher.send("mic", wire.Audio, 0))
	items := pulls(publisher, "mic")
	items = append(items, wire.Pull{TrackKey: ids.TrackKey{Session: "unknown", Track: "x"}})
	items = append(items, wire.Pull{TrackKey: ids.TrackKey{Session: publisher.id, Track: "x"}, Origin: &wire.Origin{Worker: "other-1"}})

	reply, err := viewer.pullOffer(items[1:])
	if err != nil {
		t.Fatal(err)
	}
	if reply.SessionDescription != nil || reply.Tracks[0].Fault.Code != fault.TrackNotFound.Code || reply.Tracks[1].Fault.Code != fault.RelayUnavailable.Code {
		t.Errorf("reply is %+v", reply)
	}
	if tracks := r.state(viewer.id).Tracks; len(tracks) != 0 {
		t.Errorf("failed pulls left %+v", tracks)
	}
	reply, err = viewer.pullOffer(items)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sdpx.Parse(reply.SessionDescription.SDP)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{placeholder, "0"}, d.Mids()); diff != "" {
		t.Error("sections of the offer (-want +got):\n", diff)
	}
	for _, track := range reply.Tracks[1:] {
		if track.Mid != "" || track.Fault == nil {
			t.Errorf("failed item is %+v", track)
		}
	}
}

func TestClosingIsNotHeldUpByAWaitingPull(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	for _, c := range []*client{publisher, viewer} {
		if _, err := r.do(wire.OpCreate, &wire.Create{SessionRef: c.ref()}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer.ref(), Pull: pulls(publisher, "never")})
		done <- err
	}()
	testkit.Eventually(t, "the pull to be under way", func() bool { return r.session(viewer.id).memory.busy() == 1 })
	if _, err := r.do(wire.OpClose, &wire.Close{SessionRef: viewer.ref()}); err != nil {
		t.Fatal(err)
	}
	wantFault(t, <-done, fault.SessionGone)
	_, err := r.do(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: viewer.ref(), SessionDescription: wire.SessionDescription{Type: wire.Answer}})
	wantFault(t, err, fault.SessionGone)
}

// A client checks as soon as it has set its answer, before we have it.
func TestEarlyChecksAreKept(t *testing.T) {
	r := newRig(t)
	publisher, viewer := r.client(0), r.client(0)
	publisher.push(publisher.send("mic", wire.Audio, 0))
	reply, err := viewer.pullOffer(pulls(publisher, "mic"))
	if err != nil {
		t.Fatal(err)
	}
	offer, err := sdpx.Parse(reply.SessionDescription.SDP)
	if err != nil {
		t.Fatal(err)
	}
	answer := viewer.answerTo(reply.SessionDescription)
	testkit.Eventually(t, "an early check", func() bool {
		stats, ok := r.mux.Stats(offer.Sections[0].ICEUfrag)
		return ok && stats.Held > 0
	})
	if _, err := r.do(wire.OpRenegotiate, answer); err != nil {
		t.Fatal(err)
	}
	viewer.waitPackets(5, reply.Tracks[0].Mid)
}
