package forward

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"switchboard/shared/wire"
)

func TestFiftySubscriptionsGetEveryPacket(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		var viewers []*viewer
		for range 50 {
			_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
			viewers = append(viewers, v)
		}
		const frames = 300
		for i := range frames {
			cam.frame(i%100 == 0)
			if i%7 == 0 {
				pass(time.Millisecond)
			}
		}
		settle()
		select {
		case <-p.Active():
		default:
			t.Error("publication is not active")
		}
		for i, v := range viewers {
			packets := v.take()
			if len(packets) != frames {
				t.Fatalf("viewer %d got %d packets, want %d", i, len(packets), frames)
			}
			continuous(t, packets)
			if h := packets[0].Header; h.SequenceNumber >= 1<<15 || h.SSRC != 1000 || h.PayloadType != 120 {
				t.Errorf("first header is %+v", h)
			}
		}
		if got := p.Usage().IngressPackets; got != frames {
			t.Errorf("counted %d packets", got)
		}
	})
}

func TestBindDeliversWhatWasHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 10)
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		in := publisher.Buffer(7, false)
		if _, err := in.Write([]byte("junk")); err != nil || publisher.Stats().Malformed != 1 {
			t.Errorf("malformed packet: %v, counted %d", err, publisher.Stats().Malformed)
		}
		for i := range 5 {
			cam.frame(i == 0)
		}
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		cam.frame(false)
		settle()
		if got := v.take(); len(got) != 6 {
			t.Errorf("viewer got %d packets, want all 6", len(got))
		}
		if _, err := in.Read(nil); !errors.Is(err, io.EOF) {
			t.Errorf("there is something to read: %v", err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		cam.leg = newPeer(t).Leg
	})
}

func TestHeldPacketsAreBounded(t *testing.T) {
	publisher := newPeer(t)
	for ssrc := range uint32(20) {
		cam := newCamera(t, publisher.Leg, ssrc, 96, 1)
		for range 200 {
			cam.frame(false)
		}
	}
	if n := publisher.held.Load(); n > maxHeldByLeg {
		t.Errorf("%d packets held", n)
	}
	publisher.Close()
	if n := publisher.held.Load(); n != 0 {
		t.Errorf("%d packets held after Close", n)
	}
}

func TestSourceSwapIsContinuous(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := newPublication(t, wire.Video)
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		var before []rtp.Packet
		for round, first := range []uint16{65530, 100, 40000} {
			publisher := newPeer(t)
			cam := newCamera(t, publisher.Leg, uint32(round+1), 96, first)
			cam.header.Timestamp = uint32(round) * 1e9
			bind(t, publisher, p, Stream{SSRC: uint32(round + 1), Codec: vp8})
			cam.frame(false) // before the keyframe: nobody could decode it
			settle()
			if got := written[*rtcp.PictureLossIndication](publisher); round > 0 && len(got) != 1 {
				t.Errorf("round %d: %d keyframe requests, want 1", round, len(got))
			}
			cam.frame(true)
			for range 20 {
				pass(33 * time.Millisecond)
				cam.frame(false)
			}
			settle()
			before = append(before, v.take()...)
			if round == 1 {
				publisher.Close()
			}
		}
		if len(before) != 63 {
			t.Errorf("got %d packets, want 63", len(before))
		}
		continuous(t, before)
	})
}

func TestReplaceIsContinuousAndSSRCContinues(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, subscriber := newPeer(t), newPeer(t)
		var sources []*Publication
		var cams []*camera
		for i := range uint32(2) {
			p := newPublication(t, wire.Video)
			bind(t, publisher, p, Stream{SSRC: i + 1, Codec: vp8})
			sources, cams = append(sources, p), append(cams, newCamera(t, publisher.Leg, i+1, 96, uint16(i)*30000))
		}
		play := func() {
			for i := range 10 {
				for _, c := range cams {
					c.frame(i == 2)
				}
				pass(33 * time.Millisecond)
			}
		}
		s, v := subscribe(t, subscriber, sources[0], SubscriptionConfig{})
		play()
		s.Replace(sources[1])
		play()
		all := v.take()
		s.Close()
		play()
		if got := v.take(); len(got) != 0 {
			t.Errorf("%d packets after Close", len(got))
		}
		_, v = subscribe(t, subscriber, sources[0], SubscriptionConfig{})
		pass(time.Second)
		play()
		all = append(all, v.take()...)
		// 8 from the first keyframe on; twice 8 from the cache and 10 live.
		if len(all) != 44 {
			t.Errorf("got %d packets, want 44", len(all))
		}
		continuous(t, all)
	})
}

func TestAudioNeedsNoKeyframe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Audio)
		cam := newCamera(t, publisher.Leg, 7, 111, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: opus, NoNACK: true})
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		for range 50 {
			cam.frame(false)
		}
		settle()
		if got := v.take(); len(got) != 50 {
			t.Errorf("got %d packets, want 50", len(got))
		}
		if got := written[*rtcp.PictureLossIndication](publisher); len(got) != 0 {
			t.Error("asked for a keyframe of audio")
		}
	})
}

func TestPaddingLeavesNoHole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		for i := range 60 {
			cam.frame(i == 0)
			if i%5 == 0 {
				cam.header.SequenceNumber++
				h := cam.header
				h.Padding, h.PaddingSize = true, 100
				cam.write(h, nil)
			}
		}
		settle()
		got := v.take()
		if len(got) != 60 {
			t.Errorf("got %d packets, want 60", len(got))
		}
		continuous(t, got)
	})
}

// A padding packet that arrives after a later one has a number of its own, which
// has to be filled.
func TestLatePaddingFillsItsNumber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		cam.frame(true)
		cam.header.SequenceNumber++
		late := cam.header
		late.Padding, late.PaddingSize = true, 100
		cam.frame(false)
		settle()
		cam.write(late, nil)
		settle()
		got := v.take()
		if len(got) != 3 || got[2].SequenceNumber != got[0].SequenceNumber+1 {
			t.Fatalf("got %d packets", len(got))
		}
		if fill := got[2]; len(fill.Payload) != 0 || !fill.Padding || fill.Header.PaddingSize != 1 {
			t.Errorf("the number is filled with %+v", fill)
		}
	})
}

func TestSimulcastFollowsWishAndAvailability(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cams := map[string]*camera{}
		for i, rid := range []string{"q", "f"} {
			ssrc := uint32(i + 1)
			bind(t, publisher, p, Stream{SSRC: ssrc, RID: rid, Codec: vp8})
			cams[rid] = newCamera(t, publisher.Leg, ssrc, 96, 65530)
		}
		s, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		asked := map[uint32]int{}
		play := func(rids ...string) {
			for range 60 {
				for _, rid := range rids {
					key := false
					for _, pli := range written[*rtcp.PictureLossIndication](publisher) {
						asked[pli.MediaSSRC]++
						cams[map[uint32]string{1: "q", 2: "f"}[pli.MediaSSRC]].frame(true)
					}
					cams[rid].frame(key)
				}
				pass(50 * time.Millisecond)
			}
		}
		want := func(rid string) {
			t.Helper()
			if got := s.State().RID; got != rid {
				t.Errorf("layer %q, want %q", got, rid)
			}
		}
		play("q")
		want("q")
		play("q", "f")
		want("f")
		s.SetWish(&wire.Simulcast{PreferredRID: "q"})
		play("q", "f")
		want("q")
		play("f")
		want("f") // q is not sent: the nearest takes its place
		play("q", "f")
		want("q")
		s.SetWish(nil)
		play("q", "f")
		want("f")
		continuous(t, v.take())
		if asked[1] > 4 || asked[2] > 4 {
			t.Errorf("asked for keyframes too often: %v", asked)
		}
		layers := s.State().Layers
		if len(layers) != 2 || layers[0].RID != "q" || layers[1].RID != "f" || layers[1].Usage.EgressPackets == 0 {
			t.Errorf("layers %+v", layers)
		}
	})
}

func TestLateJoinerIsServedFromTheCache(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		cam.frame(true)
		for range 9 {
			cam.frame(false)
		}
		settle()
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		settle()
		got := v.take()
		if len(got) != 10 {
			t.Errorf("late joiner got %d packets, want the 10 since the keyframe", len(got))
		}
		pass(maxReplayAge + time.Millisecond)
		if got := written[*rtcp.PictureLossIndication](publisher); len(got) != 0 {
			t.Error("a keyframe was asked for although a young one was there")
		}
		_, v = subscribe(t, newPeer(t), p, SubscriptionConfig{})
		pass(time.Millisecond)
		if len(v.take()) != 0 || len(written[*rtcp.PictureLossIndication](publisher)) != 1 {
			t.Error("an old keyframe has to be asked for again, once")
		}
	})
}

func TestKeyframeRequestsAreCoalesced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8, FIROnly: true})
		var subs []*Subscription
		for range 20 {
			s, _ := subscribe(t, newPeer(t), p, SubscriptionConfig{})
			subs = append(subs, s)
		}
		for range 19 { // nearly two seconds without a keyframe
			cam.frame(false)
			pass(100 * time.Millisecond)
		}
		firs := written[*rtcp.FullIntraRequest](publisher)
		if len(firs) != 4 {
			t.Errorf("asked %d times in two seconds, want 4", len(firs))
		}
		for i, f := range firs {
			if f.FIR[0].SSRC != 7 || f.FIR[0].SequenceNumber != uint8(i+1) {
				t.Errorf("request %d is %+v", i, f)
			}
		}
		for _, s := range subs {
			s.Close()
		}
		for range 20 {
			cam.frame(false)
			pass(100 * time.Millisecond)
		}
		if got := written[*rtcp.FullIntraRequest](publisher); len(got) > 1 {
			t.Errorf("asked %d times on behalf of nobody", len(got))
		}
	})
}
