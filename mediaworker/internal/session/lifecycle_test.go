package session

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// puppet is a transport without a network, for tests of time.
type puppet struct {
	options    peer.Options
	state      peer.State
	negotiated *sdpx.Description
	offering   *sdpx.Description
	withdrawn  int
	closed     bool
	fail       func() // called by every negotiation, may panic
}

func (p *puppet) Answer(offer *sdpx.Description, _ map[string]peer.Want) (string, error) {
	p.fail()
	p.negotiated = offer
	return "answer", nil
}

func (p *puppet) Offer(sections []peer.Section, wants map[string]peer.Want, name func() string) (string, []string, error) {
	p.fail()
	var mids []string
	for _, s := range sections {
		mid := s.Mid
		if mid == "" {
			mid = name()
		}
		mids = append(mids, mid)
		wants[mid] = s.Want
	}
	p.offering = &sdpx.Description{}
	return "offer", mids, nil
}

func (p *puppet) Accept(*sdpx.Description) error        { return errors.New("not played") }
func (p *puppet) Withdraw()                             { p.withdrawn++; p.offering = nil }
func (p *puppet) Offering() bool                        { return p.offering != nil }
func (p *puppet) Pending() *sdpx.Description            { return p.offering }
func (p *puppet) Negotiated() bool                      { return p.negotiated != nil }
func (p *puppet) Remote() *sdpx.Description             { return p.negotiated }
func (p *puppet) BundleTag() string                     { return "0" }
func (p *puppet) CanSend(*peer.Outgoing) bool           { return true }
func (p *puppet) Publish(string, *forward.Publication)  {}
func (p *puppet) Unpublish(string)                      {}
func (p *puppet) Streams() peer.Streams                 { return nil }
func (p *puppet) Recall(peer.Streams)                   {}
func (p *puppet) Sending(string) (ssrc uint32, ok bool) { return 0, false }
func (p *puppet) State() peer.State                     { return p.state }
func (p *puppet) Verdict() string                       { return "the verdict" }
func (p *puppet) Close()                                { p.closed = true }
func (p *puppet) Subscribe(string, *forward.Publication, *wire.Simulcast, *forward.Usage) (*forward.Subscription, error) {
	return nil, peer.ErrNotSending
}

func (p *puppet) become(s wire.ConnectionState) {
	p.state = peer.State{Connection: s}
	p.options.OnState(p.state)
	synctest.Wait()
}

// theatre is a registry of puppets.
type theatre struct {
	*rig
	puppets []*puppet
	fail    func()

	mu   sync.Mutex // guards over
	over map[ids.SessionID]string
}

// ended returns the sessions that ended, with the reason.
func (th *theatre) ended() map[ids.SessionID]string {
	th.mu.Lock()
	defer th.mu.Unlock()
	return maps.Clone(th.over)
}

func newTheatre(t *testing.T, limit int) *theatre {
	th := &theatre{over: make(map[ids.SessionID]string), fail: func() {}}
	th.rig = &rig{t: t, registry: NewRegistry(Deps{
		Switchboard: switchboard.New(switchboard.Config{Worker: worker}), Worker: worker, Usage: &forward.Ledger{}, MaxSessions: limit,
		OnEnd: func(_ ids.AppID, s ids.SessionID, reason string) {
			th.mu.Lock()
			defer th.mu.Unlock()
			th.over[s] = reason
		},
	})}
	th.registry.newPeer = func(o peer.Options) (transport, error) {
		p := &puppet{options: o, state: peer.State{Connection: wire.ConnectionNew}, fail: func() { th.fail() }}
		th.puppets = append(th.puppets, p)
		return p, nil
	}
	t.Cleanup(th.registry.Close)
	return th
}

func (th *theatre) create() wire.SessionRef {
	th.t.Helper()
	ref := wire.SessionRef{App: app, Session: ids.NewSessionID()}
	if _, err := th.do(wire.OpCreate, &wire.Create{SessionRef: ref}); err != nil {
		th.t.Fatal(err)
	}
	return ref
}

func (th *theatre) pullIn(ref wire.SessionRef, st *stage) (*wire.Reply, error) {
	return th.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: ref, Pull: st.pulls(wire.Audio)})
}

func wait(d time.Duration) {
	time.Sleep(d) // the bubble's clock
	synctest.Wait()
}

func TestSessionEndsWithoutTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		never, lost, back := th.create(), th.create(), th.create()
		_, lostPeer, backPeer := th.puppets[0], th.puppets[1], th.puppets[2]
		lostPeer.become(wire.ConnectionConnected)
		backPeer.become(wire.ConnectionConnected)

		wait(connectWithin - time.Second)
		if len(th.ended()) != 0 {
			t.Fatal("ended early:", th.ended())
		}
		wait(2 * time.Second)
		if diff := cmp.Diff(map[ids.SessionID]string{never.Session: "the verdict"}, th.ended()); diff != "" {
			t.Fatal("after a minute (-want +got):\n", diff)
		}
		if !th.puppets[0].closed {
			t.Error("the ended session's peer is open")
		}
		lostPeer.become(wire.ConnectionDisconnected)
		backPeer.become(wire.ConnectionDisconnected)
		wait(reconnectWithin - time.Second)
		backPeer.become(wire.ConnectionConnected)
		lostPeer.become(wire.ConnectionFailed) // does not put the end off
		wait(2 * time.Second)
		if _, ok := th.ended()[lost.Session]; !ok {
			t.Error("a session without a transport lives on")
		}
		wait(time.Hour)
		if _, ok := th.ended()[back.Session]; ok {
			t.Error("a session that came back was ended")
		}
		_, err := th.do(wire.OpTracksClose, &wire.TracksClose{SessionRef: lost, Mids: []string{"0"}, Force: true})
		wantFault(t, err, fault.SessionGone)
	})
}

func TestAbandonedFirstOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		st, ref := th.stage(), th.create()
		reply, err := th.pullIn(ref, st)
		if err != nil || reply.Tracks[0].Mid != "0" {
			t.Fatal(reply, err)
		}
		wait(answerWithin - time.Second)
		_, err = th.pullIn(ref, st)
		wantFault(t, err, fault.HaveLocalOffer)
		wait(2 * time.Second)
		if len(th.puppets) != 2 || !th.puppets[0].closed || th.puppets[1].closed {
			t.Fatal("the peer of an abandoned first offer was not replaced")
		}
		if tracks := th.state(ref.Session).Tracks; len(tracks) != 0 {
			t.Errorf("the abandoned offer left %+v", tracks)
		}
		_, err = th.do(wire.OpRenegotiate, &wire.Renegotiate{SessionRef: ref, SessionDescription: wire.SessionDescription{Type: wire.Answer}})
		wantFault(t, err, fault.HaveNoOffer)
		if reply, err = th.pullIn(ref, st); err != nil || reply.Tracks[0].Mid != "0" {
			t.Error("the pull after an abandoned first offer:", reply, err)
		}
	})
}

func TestAbandonedLaterOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		st, ref := th.stage(), th.create()
		th.puppets[0].negotiated = &sdpx.Description{}
		if _, err := th.pullIn(ref, st); err != nil {
			t.Fatal(err)
		}
		wait(answerWithin)
		if p := th.puppets[0]; len(th.puppets) != 1 || p.withdrawn != 1 || p.closed {
			t.Errorf("%d peers, first is %+v", len(th.puppets), p)
		}
		if _, err := th.pullIn(ref, st); err != nil {
			t.Error("the pull after an abandoned offer:", err)
		}
	})
}

func TestPullGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		publisher, viewer := th.create(), th.create()
		silent := forward.NewPublication(forward.PublicationConfig{})
		defer silent.Close()
		board := th.session(publisher.Session).board
		board.Publish("silent", silent)
		item := func(name ids.TrackName) wire.Pull {
			return wire.Pull{TrackKey: ids.TrackKey{Session: publisher.Session, Track: name}, Origin: &wire.Origin{Worker: worker}}
		}
		for _, c := range []struct {
			connected bool
			name      ids.TrackName
			want      *fault.Kind
			after     time.Duration
		}{
			{false, "none", fault.TrackNotFound, pullWait},
			{false, "silent", fault.TrackNotFound, pullWait},
			{true, "none", fault.TrackNotFound, time.Second},
			{true, "silent", fault.EmptyTrack, pullWait},
		} {
			board.SetConnected(c.connected)
			start := time.Now()
			reply, err := th.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer, Pull: []wire.Pull{item(c.name), item(c.name)}})
			if err != nil {
				t.Fatal(err)
			}
			if f := reply.Tracks[0].Fault; f == nil || f.Code != c.want.Code || reply.SessionDescription != nil {
				t.Errorf("connected %v, track %q: %+v, want %s", c.connected, c.name, reply.Tracks[0], c.want.Name)
			}
			if took := time.Since(start); took != c.after {
				t.Errorf("connected %v, track %q: two items waited %v, want %v", c.connected, c.name, took, c.after)
			}
		}
		start := time.Now()
		if _, err := th.do(wire.OpClose, &wire.Close{SessionRef: publisher}); err != nil {
			t.Fatal(err)
		}
		reply, err := th.do(wire.OpTracksNew, &wire.TracksNew{SessionRef: viewer, Pull: []wire.Pull{item("silent")}})
		if err != nil || reply.Tracks[0].Fault.Code != fault.TrackNotFound.Code || time.Since(start) != 0 {
			t.Errorf("pull from an ended session after %v: %+v, %v", time.Since(start), reply, err)
		}
	})
}

func TestRetryGetsFirstOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		st, ref := th.stage(), th.create()
		command := Command{ID: "same", Op: wire.OpTracksNew, Message: &wire.TracksNew{SessionRef: ref, Pull: []wire.Pull{
			{TrackKey: ids.TrackKey{Session: ref.Session, Track: "later"}, Origin: &wire.Origin{Worker: worker}}}}}
		type outcome struct {
			reply wire.Message
			err   error
		}
		results := make(chan outcome, 2)
		for range 2 {
			go func() {
				reply, err := th.registry.Do(context.Background(), command)
				results <- outcome{reply, err}
			}()
		}
		one, two := <-results, <-results
		if one.err != nil || one.reply != two.reply {
			t.Errorf("two attempts at the same time: %+v, %+v", one, two)
		}
		if late, err := th.registry.Do(context.Background(), command); err != nil || late != one.reply {
			t.Error("a retry of a finished command:", late, err)
		}
		rev := th.state(ref.Session).Rev
		th.puppets[0].become(wire.ConnectionConnected)
		wait(rememberedFor + time.Second)
		if late, _ := th.registry.Do(context.Background(), command); late == one.reply || th.state(ref.Session).Rev != rev+1 {
			t.Error("a command was remembered for too long")
		}
		_ = st
	})
}

func TestTooManyCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		ref := th.create()
		waiting := &wire.TracksNew{SessionRef: ref, Pull: []wire.Pull{
			{TrackKey: ids.TrackKey{Session: ref.Session, Track: "later"}, Origin: &wire.Origin{Worker: worker}}}}
		results := make(chan error, mailboxSize)
		for range mailboxSize {
			go func() { _, err := th.do(wire.OpTracksNew, waiting); results <- err }()
		}
		synctest.Wait()
		_, err := th.do(wire.OpTracksNew, waiting)
		wantFault(t, err, fault.WorkerBusy)
		for range mailboxSize {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if _, err := th.do(wire.OpTracksNew, waiting); err != nil {
			t.Error("after the rush:", err)
		}
	})
}

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		ref := th.create()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		message, err := th.registry.Do(ctx, Command{ID: "slow", Op: wire.OpTracksNew, Message: &wire.TracksNew{SessionRef: ref, Pull: []wire.Pull{
			{TrackKey: ids.TrackKey{Session: ref.Session, Track: "later"}, Origin: &wire.Origin{Worker: worker}}}}})
		if err != nil {
			t.Fatal("a pull that waited outran its budget:", err)
		}
		if f := message.(*wire.Reply).Tracks[0].Fault; f == nil || f.Code != fault.TrackNotFound.Code {
			t.Errorf("reply is %+v", message)
		}
	})
}

func TestPanicEndsOnlyItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 0)
		st, ref, other := th.stage(), th.create(), th.create()
		th.fail = func() { panic("defect") }
		_, err := th.pullIn(ref, st)
		wantFault(t, err, fault.Internal)
		th.fail = func() {}
		_, err = th.pullIn(ref, st)
		wantFault(t, err, fault.SessionGone)
		if _, err := th.pullIn(other, st); err != nil {
			t.Error("another session:", err)
		}
	})
}

func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t, 1)
		ref := th.create()
		_, err := th.do(wire.OpCreate, &wire.Create{SessionRef: wire.SessionRef{App: app, Session: ids.NewSessionID()}})
		wantFault(t, err, fault.NoWorker)
		if rev, ok := th.registry.Locate(app, ref.Session); !ok || rev != 1 {
			t.Error("locate:", rev, ok)
		}
		if _, ok := th.registry.Locate("other", ref.Session); ok {
			t.Error("located for another App")
		}
		_, err = th.do(wire.OpGet, &wire.Get{SessionRef: wire.SessionRef{App: "other", Session: ref.Session}})
		wantFault(t, err, fault.SessionGone)
		empty := th.registry.Drain()
		th.registry.Fence([]ids.SessionID{ref.Session, ids.NewSessionID()})
		<-empty
		if got := th.registry.Count(); got != (Count{}) {
			t.Errorf("count is %+v", got)
		}
		_, err = th.do(wire.OpCreate, &wire.Create{SessionRef: ref})
		wantFault(t, err, fault.NoWorker)
	})
}
