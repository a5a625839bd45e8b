package session

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

// Timing of a session.
const (
	// connectWithin is how long a session may stay unconnected after it began.
	connectWithin = 60 * time.Second
	// explainAfter is when the log says why it is not connected yet.
	explainAfter = 10 * time.Second
	// reconnectWithin is how long it may stay without a transport after it lost
	// one, noticed by the transport after a few seconds of silence.
	reconnectWithin = 30 * time.Second
	// answerWithin is how long an offer of ours waits for its answer.
	answerWithin = 15 * time.Second
	// pullWait is how long a pull waits for its publisher; clients give up
	// after 5 s.
	pullWait = 4 * time.Second
	// replyMargin of a call's budget is left for the reply.
	replyMargin = 100 * time.Millisecond
	// closedFor is how long a closed track is still listed.
	closedFor = 30 * time.Second
)

// placeholder is the mid of the section that starts a session of pulls. No
// client can end it, so the bundle keeps its tag.
const placeholder = "x0"

// transport is the peer under a session; *peer.Peer implements it.
type transport interface {
	Answer(offer *sdpx.Description, wants map[string]peer.Want) (string, error)
	Offer(sections []peer.Section, wants map[string]peer.Want, name func() string) (string, []string, error)
	Accept(answer *sdpx.Description) error
	Withdraw()
	Offering() bool
	Pending() *sdpx.Description
	Negotiated() bool
	Remote() *sdpx.Description
	BundleTag() string
	CanSend(*peer.Outgoing) bool
	Publish(mid string, pub *forward.Publication)
	Unpublish(mid string)
	Streams() peer.Streams
	Recall(peer.Streams)
	Sending(mid string) (ssrc uint32, ok bool)
	Subscribe(mid string, pub *forward.Publication, wish *wire.Simulcast, usage *forward.Usage) (*forward.Subscription, error)
	State() peer.State
	Verdict() string
	Close()
}

// session is one client's session: what it publishes and pulls, over a peer
// that may be replaced. Its mailbox runs commands and events one at a time.
type session struct {
	registry   *Registry
	app        ids.AppID
	id         ids.SessionID
	thirdParty bool
	log        *zap.Logger
	usage      *forward.Usage
	board      *switchboard.Board

	mailbox mailbox
	memory  memory
	rev     atomic.Uint64
	ctx     context.Context // ends with the session
	cancel  context.CancelFunc
	crew    crew
	// listed is what the directory keeps of the publications.
	listed atomic.Pointer[[]wire.Publication]
	pulls  atomic.Int64 // subscriptions in force

	// Everything below is touched only by tasks of the mailbox.
	desired
}

// desired is the state that outlives peers.
type desired struct {
	peer        transport
	wedged      bool // the peer must not negotiate any more
	sections    map[string]*section
	order       []string // mids, in the order in which they came up
	generations generations
	negotiated  bool // an exchange was completed once
	named       int  // how many mids the SFU made
	offer       *outstanding
	deadline    *time.Timer // ends the session
	ended       bool
}

// section is one media section and what the session does with it.
type section struct {
	mid         string
	kind        wire.Kind
	publication *publication
	pull        *pull
	// out is what is sent in it, nil for nothing. Its identity survives peers.
	out *peer.Outgoing
	// closed: the client closed its track, whatever its offers say.
	closed bool
}

// publication is a track that the client sends.
type publication struct {
	name          ids.TrackName
	generation    uint64
	bidirectional bool
	media         *forward.Publication
	closedAt      time.Time // zero while it is in force
}

// pull is a track that the client receives.
type pull struct {
	key           ids.TrackKey
	bidirectional bool
	wish          *wire.Simulcast
	media         *forward.Publication
	usage         *forward.Usage
	sub           *forward.Subscription // nil until the section sends
	ssrc          uint32                // that sub sends with
	pending       bool                  // its offer is not answered
	closedAt      time.Time
}

// outstanding is an offer that the client has not answered.
type outstanding struct {
	timer *time.Timer
	mids  []string // sections it adds
	first bool     // the session's first
}

// run posts the work of an attempt and records its outcome. Work that has not
// begun when ctx ends is left.
func (s *session) run(ctx context.Context, a *attempt, work func() (wire.Message, error)) {
	posted := s.mailbox.post(func() {
		reply, err := s.guard(func() (wire.Message, error) {
			switch {
			case s.ended:
				return nil, fault.SessionGone.New("")
			case ctx.Err() != nil:
				return nil, fault.Timeout.New("")
			}
			reply, err := work()
			s.settle(reply)
			return reply, err
		})
		s.memory.finish(a, reply, err, time.Now())
	})
	if !posted {
		s.memory.finish(a, nil, fault.SessionGone.New(""), time.Now())
	}
}

// settle counts an executed command and adds what every reply says.
func (s *session) settle(message wire.Message) {
	reply, ok := message.(*wire.Reply)
	if !ok {
		s.publicationsChanged()
		return
	}
	changed := s.publicationsChanged()
	reply.Rev = s.rev.Add(1)
	if changed {
		list := *s.listed.Load()
		reply.Publications = &list
	}
}

// guard turns a panic of a task into the end of this session alone.
func (s *session) guard(work func() (wire.Message, error)) (reply wire.Message, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("session task panicked", zap.Any("panic", r), zap.ByteString("stack", debug.Stack()))
			s.end("internal error")
			reply, err = nil, fault.Internal.New("")
		}
	}()
	return work()
}

// panicked ends the session after a panic of one of its other goroutines, which
// calls it with the panic's stack.
func (s *session) panicked(value any) {
	s.log.Error("session goroutine panicked", zap.Any("panic", value), zap.ByteString("stack", debug.Stack()))
	s.event(func() { s.end("internal error") })
}

// protect calls f, whose panic ends this session alone.
func (s *session) protect(f func()) {
	defer func() {
		if r := recover(); r != nil {
			s.panicked(r)
		}
	}()
	f()
}

// event posts something that happened outside of the session. An ended session
// does not hear it.
func (s *session) event(what func()) {
	_ = s.mailbox.post(func() {
		_, _ = s.guard(func() (wire.Message, error) {
			if !s.ended {
				what()
			}
			return nil, nil
		})
	})
}

// newPeer makes a peer whose states come back as events.
func (s *session) newPeer() (transport, error) {
	var made transport
	ready := make(chan struct{})
	made, err := s.registry.newPeer(peer.Options{
		ThirdParty: s.thirdParty, CNAME: string(s.id), Panicked: s.panicked,
		OnState: func(state peer.State) {
			s.event(func() {
				<-ready
				s.stateChanged(made, state)
			})
		},
	})
	close(ready)
	if err != nil {
		return nil, fmt.Errorf("new peer: %w", err)
	}
	return made, nil
}

// wants is what the session wants of every mid it knows.
func (s *session) wants() map[string]peer.Want {
	wants := make(map[string]peer.Want, len(s.sections))
	for mid, sec := range s.sections {
		wants[mid] = sec.want()
	}
	return wants
}

// want is what the session wants of the section. A section that a client sends
// in without having named a track is received: a later call may name it.
func (sec *section) want() peer.Want {
	receive := !sec.closed && (sec.pull == nil || sec.pull.bidirectional)
	return peer.Want{Receive: receive || sec.publication.live(), Send: sec.out}
}

func (p *publication) live() bool { return p != nil && p.closedAt.IsZero() }
func (p *pull) live() bool        { return p != nil && p.closedAt.IsZero() }

// section returns the section of that mid, new if need be.
func (s *session) section(mid string, kind wire.Kind) *section {
	sec := s.sections[mid]
	if sec == nil {
		sec = &section{mid: mid, kind: kind}
		s.sections[mid] = sec
		s.order = append(s.order, mid)
	}
	sec.kind = kind
	return sec
}

// remote is the client's latest section of that mid, nil before it has one.
func (s *session) remote(mid string) *sdpx.Section {
	if d := s.peer.Remote(); d != nil {
		return d.Section(mid)
	}
	return nil
}

func (s *session) drop(mid string) {
	delete(s.sections, mid)
	for i, m := range s.order {
		if m == mid {
			s.order = append(s.order[:i], s.order[i+1:]...)
			return
		}
	}
}

// nextMid names a section of ours: "0", "1", ... in the first offer of a
// session that never negotiated, so that clients which expect both sides to
// number alike find what they expect; later names that no client makes up.
func (s *session) nextMid() string {
	for {
		mid := "s" + strconv.Itoa(s.named)
		if !s.negotiated {
			mid = strconv.Itoa(s.named)
		}
		s.named++
		if s.sections[mid] == nil && s.remote(mid) == nil {
			return mid
		}
	}
}

// describe turns a refusal of a description into what the client is told.
func describe(err error) error {
	var refusal *sdpx.Error
	if errors.As(err, &refusal) {
		if refusal.Reason == sdpx.TooLarge {
			return fault.PayloadTooLarge.New("%s", refusal.Sentence)
		}
		return fault.InvalidSessionDescription.New("%s", refusal.Sentence)
	}
	return err
}
