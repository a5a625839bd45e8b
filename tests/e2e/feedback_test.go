package e2e_test

import (
	"math"
	"sync/atomic"
	"testing"
	"time"

	"switchboard/shared/wire"
	"switchboard/tests/e2e/rtcclient"
)

// A viewer who joins in the middle needs a keyframe, which only the publisher
// can make.
func TestSubscribingAsksForAKeyframe(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
		p := h.publish(video)
		h.ok(video.WaitSent(h.ctx, 90)) // the first keyframe is long past
		_, inbounds := h.subscribe(p, video)
		h.ok(video.WaitKeyframeRequests(h.ctx, 1))
		h.ok(inbounds[0].WaitKeyframes(h.ctx, 1))
		h.flows(video, inbounds[0], 30)
	})
}

// Every viewer may ask, as often as he likes: the publisher hears few of it.
func TestKeyframeRequestsAreCoalesced(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
	p := h.publish(video)
	_, inbounds := h.subscribe(p, video)
	h.ok(inbounds[0].WaitKeyframes(h.ctx, 1))
	h.flows(video, inbounds[0], 60) // longer than two requests are kept apart
	keyframes, asked := inbounds[0].Counts().Keyframes, video.KeyframeRequests()
	for range 40 {
		h.ok(inbounds[0].RequestKeyframe())
	}
	h.ok(inbounds[0].WaitKeyframes(h.ctx, keyframes+1))
	h.flows(video, inbounds[0], 30)
	if got := video.KeyframeRequests() - asked; got > 3 {
		t.Errorf("40 requests of a subscriber became %d to the publisher, want at most 3", got)
	}
}

// Packets that are lost between server and subscriber come again.
func TestLossOnTheWayDownIsRepaired(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
		p := h.publish(video)
		s, inbounds := h.subscribe(p, video)
		h.flows(video, inbounds[0], 10)
		lost := every(10)
		s.Drop(lost.drop)
		h.arrives(video, inbounds[0], 200)
		s.Drop(nil)
		if lost.count.Load() == 0 || inbounds[0].Counts().Late == 0 {
			t.Errorf("%d packets were lost and %d came late: nothing was repaired", lost.count.Load(), inbounds[0].Counts().Late)
		}
	})
}

// Packets that are lost between publisher and server come again.
func TestLossOnTheWayUpIsRepaired(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
		p := h.publish(video)
		_, inbounds := h.subscribe(p, video)
		h.flows(video, inbounds[0], 10)
		lost := every(10)
		p.DropSent(lost.drop)
		h.arrives(video, inbounds[0], 200)
		p.DropSent(nil)
		if lost.count.Load() == 0 || inbounds[0].Counts().Late == 0 {
			t.Errorf("%d packets were lost and %d came late: nothing was repaired", lost.count.Load(), inbounds[0].Counts().Late)
		}
	})
}

// losses loses each n-th RTP packet, up to most of them.
type losses struct {
	n, most     uint64
	seen, count atomic.Uint64
}

func every(n uint64) *losses { return &losses{n: n, most: math.MaxUint64} }

// once loses the third RTP packet.
func once() *losses { return &losses{n: 3, most: 1} }

func (l *losses) drop(datagram []byte) bool {
	if !rtcclient.IsRTP(datagram) || l.count.Load() == l.most || l.seen.Add(1)%l.n != 0 {
		return false
	}
	l.count.Add(1)
	return true
}

// A NACK for one lost packet brings that packet, in the same stream.
func TestRetransmissionOnRequest(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
	p := h.publish(video)
	s := h.join(rtcclient.Options{NoRepair: true})
	inbounds, err := s.Pull(h.ctx, p.Published(video)...)
	h.ok(err)
	in := inbounds[0]
	h.flows(video, in, 20)

	from, lost := video.Next(), once()
	s.Drop(lost.drop)
	h.ok(in.WaitAll(h.ctx, video, from+20, from+30))
	missing := in.Missing(video, from, from+30)
	if len(missing) != 1 {
		t.Fatalf("one packet was dropped and %v are missing", missing)
	}
	before, ok := in.SequenceOf(video, missing[0]-1)
	if !ok {
		t.Fatalf("packet %d has not come", missing[0]-1)
	}
	h.ok(in.RequestPackets(before + 1))
	h.ok(in.WaitAll(h.ctx, video, missing[0], missing[0]+1))
	h.flows(video, in, 10)
	if c := in.Counts(); c.Late != 1 {
		t.Errorf("one packet was repaired: %+v", c)
	}
}

// A sender report tells the subscriber when a sample was taken, in the
// timestamps of the stream that he gets.
func TestSenderReportsMapTimestamps(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, h harness) {
		sources := h.sources()
		p := h.publish(sources...)
		_, inbounds := h.subscribe(p, sources...)
		h.allFlow(sources, inbounds, 20)
		for i, s := range sources {
			h.ok(inbounds[i].WaitReports(h.ctx, 2))
			report := inbounds[i].Report()
			if got := inbounds[i].Counts().SSRCs; len(got) != 1 || got[0] != report.SSRC {
				t.Errorf("%s: report of SSRC %d, packets of %v", s.Name(), report.SSRC, got)
			}
			timestamp, _ := inbounds[i].SourceTimestamp(s, report.Timestamp)
			taken := s.TimeOf(timestamp)
			if off := report.Wall.Sub(taken).Abs(); off > 200*time.Millisecond {
				t.Errorf("%s: the report says %v, the sample was taken at %v, %v off", s.Name(), report.Wall, taken, off)
			}
		}
	})
}

// A publisher that adapts its rate needs the server's feedback.
func TestTransportFeedbackReachesThePublisher(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	video := h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video})
	h.publish(video)
	h.ok(video.WaitFeedback(h.ctx, 5))
}

// What a session sent and got is counted, track by track, from the first packet.
func TestUsageIsCounted(t *testing.T) {
	t.Parallel()
	h := use(t, here(t))
	const count = 40
	mic := h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio, HoldAfter: count})
	p := h.publish(mic)
	s, inbounds := h.subscribe(p, mic)
	h.ok(s.WaitConnected(h.ctx))
	h.ok(inbounds[0].WaitSource(h.ctx, mic, 1))
	h.ok(mic.WaitSent(h.ctx, count-1))
	first, _ := inbounds[0].First(mic)
	h.ok(inbounds[0].WaitAll(h.ctx, mic, first, count))
	for _, side := range []struct {
		client *rtcclient.Client
		get    func(wire.Usage) uint64
		want   uint64
	}{
		{p, func(u wire.Usage) uint64 { return u.IngressPackets }, count},
		{s, func(u wire.Usage) uint64 { return u.EgressPackets }, inbounds[0].Counts().Packets},
	} {
		held, err := h.Holders(h.ctx, side.client.Session())
		h.ok(err)
		if len(held) != 1 || len(held[0].Tracks) != 1 {
			t.Fatalf("want one session with one track: %+v", held)
		}
		if track, session := side.get(held[0].Tracks[0].Usage), side.get(held[0].Usage); track != side.want || session != side.want {
			t.Errorf("track counts %d and session %d packets, want %d", track, session, side.want)
		}
	}
}
