package session

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pion/rtp"
	"pgregory.net/rapid"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// stage publishes tracks that have sent a packet, without a client.
type stage struct {
	id     ids.SessionID
	leg    *forward.Leg
	tracks map[wire.Kind]ids.TrackName
}

func (r *rig) stage() *stage {
	r.t.Helper()
	st := &stage{id: ids.NewSessionID(), leg: forward.NewLeg(forward.LegConfig{}), tracks: map[wire.Kind]ids.TrackName{wire.Audio: "tone", wire.Video: "film"}}
	board := r.registry.deps.Switchboard.Join(app, st.id)
	board.SetConnected(true)
	r.t.Cleanup(st.leg.Close)
	codecs := map[wire.Kind]forward.Codec{
		wire.Audio: {MimeType: "audio/opus", ClockRate: 48000, Channels: 2, PayloadType: 111},
		wire.Video: {MimeType: "video/VP8", ClockRate: 90000, PayloadType: 96, RTXPayloadType: 97},
	}
	for i, kind := range []wire.Kind{wire.Audio, wire.Video} {
		r.play(st, board, uint32(i+1), st.tracks[kind], kind, codecs[kind])
	}
	// A track that few clients take.
	r.play(st, board, 3, "reel", wire.Video, forward.Codec{MimeType: "video/AV1", ClockRate: 90000, PayloadType: 45, Fmtp: "profile=2"})
	return st
}

// play publishes a track on the stage and sends its first packet.
func (r *rig) play(st *stage, board *switchboard.Board, ssrc uint32, name ids.TrackName, kind wire.Kind, codec forward.Codec) {
	r.t.Helper()
	media := forward.NewPublication(forward.PublicationConfig{App: app, Key: ids.TrackKey{Session: st.id, Track: name}, Kind: kind})
	r.t.Cleanup(media.Close)
	packet, err := (&rtp.Packet{Header: rtp.Header{Version: 2, SSRC: ssrc, PayloadType: codec.PayloadType}, Payload: []byte{0x10, 0, 0, 0}}).Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	in := st.leg.Buffer(ssrc, false)
	if err := st.leg.Bind(media, forward.Stream{SSRC: ssrc, Codec: codec}); err != nil {
		r.t.Fatal(err)
	}
	if _, err := in.Write(packet); err != nil {
		r.t.Fatal(err)
	}
	board.Publish(name, media)
}

func (st *stage) pulls(kinds ...wire.Kind) []wire.Pull {
	var list []wire.Pull
	for _, kind := range kinds {
		list = append(list, wire.Pull{TrackKey: ids.TrackKey{Session: st.id, Track: st.tracks[kind]}, Origin: &wire.Origin{Worker: worker}})
	}
	return list
}

// user drives a session with a browser model.
type user struct {
	*rig
	*browser
	id    ids.SessionID
	stage *stage
	names int
	// pulled and pushed are the mids of the user's live tracks.
	pulled, pushed []string
	owed           *wire.SessionDescription // the SFU's offer that is not answered
	owedMids       []string
}

func (r *rig) user(st *stage, complain func(string, ...any)) *user {
	return &user{rig: r, browser: &browser{complain: complain}, id: ids.NewSessionID(), stage: st}
}

func (u *user) ref() wire.SessionRef { return wire.SessionRef{App: app, Session: u.id} }

// push publishes a new track.
func (u *user) push(kind wire.Kind) {
	s := u.add(kind)
	u.names++
	u.publish(s)
}

func (u *user) publish(s *slot) {
	reply, err := u.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: u.ref(), Create: true, SessionDescription: u.offer(),
		Push: []wire.Push{{Mid: s.mid, TrackName: ids.TrackName(fmt.Sprintf("t%d", u.names))}}})
	if err != nil || reply.Tracks[0].Fault != nil {
		u.complain("push: %v, %+v", err, reply)
		return
	}
	u.applyAnswer(reply.SessionDescription)
	u.pushed = append(u.pushed, s.mid)
}

// pull asks for tracks; the offer is then owed an answer.
func (u *user) pull(kinds ...wire.Kind) {
	reply, err := u.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: u.ref(), Create: true, Pull: u.stage.pulls(kinds...)})
	if err != nil || reply.SessionDescription == nil {
		u.complain("pull: %v, %+v", err, reply)
		return
	}
	u.owed, u.owedMids = reply.SessionDescription, nil
	for _, track := range reply.Tracks {
		if track.Fault != nil {
			u.complain("pull: %v", track.Fault)
		}
		u.owedMids = append(u.owedMids, track.Mid)
	}
}

// answer answers the offer that is owed one.
func (u *user) answer() {
	answer, began := u.answerOffer(u.owed)
	if answer == nil {
		return
	}
	for _, mid := range u.owedMids {
		if !slices.Contains(began, mid) {
			u.complain("no track event for the pull in section %q", mid)
		}
	}
	if _, err := u.do(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: u.ref(), SessionDescription: *answer}); err != nil {
		u.complain("renegotiate: %v\n%s\n%s", err, u.owed.SDP, answer.SDP)
	}
	u.pulled = append(u.pulled, u.owedMids...)
	u.owed, u.owedMids = nil, nil
}

// lose lets the owed answer time out: the client never saw the offer.
func (u *user) lose() {
	s := u.session(u.id)
	done := make(chan struct{})
	s.event(func() { s.withdraw(); close(done) })
	<-done
	u.owed, u.owedMids = nil, nil
}

// close closes tracks; the browser stops the sections of some of them first.
func (u *user) close(mids []string, stopped int, force bool) {
	for _, mid := range mids[:stopped] {
		u.stop(mid)
	}
	command := &wire.TracksClose{SessionRef: u.ref(), Mids: mids, Force: force}
	if !force {
		command.SessionDescription = u.offer()
	}
	reply, err := u.do(wire.OpTracksClose, command)
	if err != nil {
		u.complain("close: %v", err)
		return
	}
	for i, track := range reply.Tracks {
		if track.Fault != nil || track.Mid != mids[i] {
			u.complain("close of %q: %+v", mids[i], track)
		}
	}
	if !force {
		u.applyAnswer(reply.SessionDescription)
	}
	gone := func(mid string) bool { return slices.Contains(mids, mid) }
	u.pulled, u.pushed = slices.DeleteFunc(u.pulled, gone), slices.DeleteFunc(u.pushed, gone)
}

// refused offers while an answer is owed.
func (u *user) refused() {
	_, err := u.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: u.ref(), SessionDescription: u.offer(), AutoDiscover: true})
	if !fault.HaveLocalOffer.Is(err) {
		u.complain("an offer while an answer is owed: %v", err)
	}
}

// TestInterleavings drives a session through calls in any order that a client
// may make, and checks every description and that nothing wedges or piles up.
func TestInterleavings(t *testing.T) {
	r := newRig(t)
	st := r.stage()
	rapid.Check(t, func(t *rapid.T) {
		u := r.user(st, t.Fatalf)
		kinds := rapid.SampledFrom([]wire.Kind{wire.Audio, wire.Video})
		most, steps := 0, rapid.IntRange(3, 25).Draw(t, "steps")
		for range steps {
			if s := r.session(u.id); s != nil && s.wedged {
				t.Fatal("the peer is wedged")
			}
			action := rapid.IntRange(0, 9).Draw(t, "action")
			switch {
			case u.owed != nil && action < 6:
				u.answer()
			case u.owed != nil && action == 6 && len(u.live()) > 0:
				u.refused()
			case u.owed != nil && action == 7:
				u.lose()
			case u.owed != nil:
			case action < 3 && len(u.live()) < 12:
				u.push(kinds.Draw(t, "push"))
			case action < 6 && len(u.live()) < 12:
				u.pull(rapid.SliceOfN(kinds, 1, 3).Draw(t, "pull")...)
			default:
				tracks := slices.Concat(u.pulled, u.pushed)
				if len(tracks) == 0 {
					continue
				}
				mids := rapid.SliceOfNDistinct(rapid.SampledFrom(tracks), 1, len(tracks), rapid.ID).Draw(t, "close")
				stopped := rapid.IntRange(0, len(mids)).Draw(t, "stopped")
				force := stopped == 0 && rapid.Bool().Draw(t, "force")
				if len(u.live()) == stopped {
					continue // a browser is beyond help when it stops all it has
				}
				u.close(mids, stopped, force)
			}
			most = max(most, len(u.sections))
		}
		if _, err := r.do(wire.OpClose, &wire.Close{SessionRef: u.ref()}); err != nil && !fault.SessionGone.Is(err) {
			t.Fatal(err)
		}
	})
}

// TestSectionsAreUsedAgain closes and pulls many times: a client that stops its
// sections and one that does not.
func TestSectionsAreUsedAgain(t *testing.T) {
	for _, stops := range []bool{true, false} {
		t.Run(fmt.Sprintf("stops=%v", stops), func(t *testing.T) {
			r := newRig(t)
			u := r.user(r.stage(), t.Fatalf)
			u.pull(wire.Audio, wire.Video)
			u.answer()
			for range 50 {
				u.push(wire.Audio)
				u.pull(wire.Video)
				u.answer()
				mids := slices.Concat(u.pulled[len(u.pulled)-1:], u.pushed)
				stopped := 0
				if stops {
					stopped = len(mids)
				}
				u.close(mids, stopped, false)
			}
			// x0, the first two pulls, and what one round adds.
			most := 5
			if !stops {
				most += 50 // the browser's own transceivers: it never stopped one
			}
			if len(u.sections) > most {
				t.Errorf("%d sections after 50 rounds, want at most %d", len(u.sections), most)
			}
		})
	}
}

// A section whose pull was closed by force is free once the client has seen it
// inactive.
func TestSectionsClosedByForceAreUsedAgain(t *testing.T) {
	r := newRig(t)
	u := r.user(r.stage(), t.Fatalf)
	for range 50 {
		u.pull(wire.Video)
		u.answer()
		u.close(slices.Clone(u.pulled), 0, true)
	}
	if most := 3; len(u.sections) > most { // x0, and two that take turns
		t.Errorf("%d sections after 50 rounds, want at most %d", len(u.sections), most)
	}
}
