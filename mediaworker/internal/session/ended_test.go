package session

import (
	"testing"

	"github.com/pion/webrtc/v4"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// reel is a pull of a stage's track in a format that the clients do not have.
func (st *stage) reel() wire.Pull {
	return wire.Pull{TrackKey: ids.TrackKey{Session: st.id, Track: "reel"}, Origin: &wire.Origin{Worker: worker}}
}

// A client answers with port 0 where it cannot take the track: that pull is
// over, and nothing of it counts as received.
func TestPullThatTheClientRefuses(t *testing.T) {
	r := newRig(t)
	st, viewer := r.stage(), r.client(0)
	reply, err := viewer.pullOffer(append(st.pulls(wire.Audio), st.reel()))
	if err != nil {
		t.Fatal(err)
	}
	refused := reply.Tracks[1].Mid
	answer := viewer.answerTo(reply.SessionDescription)
	answer.SessionDescription.SDP = endSection(answer.SessionDescription.SDP, refused)
	if _, err := r.do(wire.OpRenegotiate, answer); err != nil {
		t.Fatal(err)
	}
	got := r.state(viewer.id).Tracks
	if len(got) != 2 || got[0].Status != wire.StatusActive || got[1].Mid != refused || got[1].Status != wire.StatusInactive {
		t.Errorf("tracks are %+v, want the first active and the refused one inactive", got)
	}
	if n := r.registry.Count().Subscriptions; n != 1 {
		t.Errorf("%d subscriptions are counted, want 1", n)
	}
	_, err = r.do(wire.OpTracksClose, &wire.TracksClose{SessionRef: viewer.ref(), Mids: []string{refused}, Force: true})
	if err != nil {
		t.Error(err)
	}
}

// A section that the client ended carries its track no more, even without a
// call of tracks/close; nor does one in which it sends no more keep the name.
func TestNameIsFreeWhereNothingIsSent(t *testing.T) {
	for name, end := range map[string]func(*client, *source) error{
		"stopped": func(_ *client, s *source) error { return s.tr.Stop() },
		"paused":  func(c *client, s *source) error { return c.pc.RemoveTrack(s.tr.Sender()) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			publisher, viewer := r.client(0), r.client(0)
			mic, cam := publisher.send("mic", wire.Audio, 0), publisher.send("cam", wire.Video, 0)
			publisher.push(mic, cam)
			viewer.waitPackets(5, viewer.pull(publisher, "cam")...)
			former := cam.tr.Mid()
			if err := end(publisher, cam); err != nil {
				t.Fatal(err)
			}
			publisher.push(publisher.send("cam", wire.Video, 0))
			viewer.waitPackets(5, viewer.pull(publisher, "cam")...)
			for _, track := range r.state(publisher.id).Tracks {
				if want := track.Mid != former; (track.Status == wire.StatusActive) != want {
					t.Errorf("track %+v, want active: %v", track, want)
				}
			}
			if n := r.registry.Count().Publications; n != 2 {
				t.Errorf("%d publications, want 2", n)
			}
		})
	}
}

// An item is pulled only into a section whose formats can carry it.
func TestPullIntoSectionOfAnotherFormat(t *testing.T) {
	r := newRig(t)
	st, viewer := r.stage(), r.client(0)
	if _, err := viewer.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	offer := viewer.offer()
	pull := func(sdp *wire.SessionDescription, items ...wire.Pull) *wire.Reply {
		t.Helper()
		reply, err := r.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer.ref(), Create: true, SessionDescription: sdp, Pull: items})
		if err != nil {
			t.Fatal(err)
		}
		return reply
	}
	reply := pull(offer, append([]wire.Pull{st.reel()}, st.pulls(wire.Video)...)...)
	if f := reply.Tracks[0].Fault; f == nil || f.Code != fault.InvalidParams.Code {
		t.Errorf("pull of the foreign format: %+v, want %s", reply.Tracks[0], fault.InvalidParams.Name)
	}
	if got := reply.Tracks[1]; got.Fault != nil || got.Mid != "0" {
		t.Errorf("the other pull: %+v, want section 0", got)
	}
	viewer.apply(reply.SessionDescription)

	into := st.reel()
	into.Mid = "0"
	reply = pull(nil, into)
	if f := reply.Tracks[0].Fault; f == nil || f.Code != fault.TrackError.Code {
		t.Errorf("pull of the foreign format into a section: %+v, want %s", reply.Tracks[0], fault.TrackError.Name)
	}
	if got := r.state(viewer.id).Tracks[0]; got.TrackName != st.tracks[wire.Video] {
		t.Errorf("the section carries %+v now, want what it carried before", got)
	}
}
