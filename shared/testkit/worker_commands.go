package testkit

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Marker SDP of a Worker.
const (
	TestOffer  = "v=0\r\ns=offer of a scripted worker\r\n"
	TestAnswer = "v=0\r\ns=answer of a scripted worker\r\n"
)

// workerSession is one session of a Worker, guarded by the Worker's mu.
type workerSession struct {
	rev          uint64
	mids         int
	publications map[ids.TrackName]wire.Publication
}

// execution is a command that took effect, or is about to.
type execution struct {
	done  chan struct{}
	reply *nats.Msg
}

// command answers one command message. A repetition of a command id gets the
// answer of the first.
func (w *Worker) command(op wire.Operation, msg *nats.Msg) {
	id := ids.CommandID(msg.Header.Get(wire.HeaderCommandID))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received++
	if w.stopped || w.frozen {
		return
	}
	e, repeated := w.commands[id]
	if !repeated {
		e = &execution{done: make(chan struct{})}
		w.commands[id] = e
		w.running.Go(func() { w.play(e, op, id, msg.Data) })
	}
	w.running.Go(func() {
		select {
		case <-e.done:
			if err := msg.RespondMsg(&nats.Msg{Header: e.reply.Header, Data: e.reply.Data}); err != nil && !w.nc.IsClosed() {
				w.tb.Error(err)
			}
		case <-w.ctx.Done():
		}
	})
}

// play executes a command, unless the worker is killed before.
func (w *Worker) play(e *execution, op wire.Operation, id ids.CommandID, data []byte) {
	if w.options.Before != nil {
		w.options.Before(w.ctx, op, id)
	}
	if w.ctx.Err() != nil {
		return
	}
	e.reply = w.execute(op, data)
	close(e.done)
}

func (w *Worker) execute(op wire.Operation, data []byte) *nats.Msg {
	w.mu.Lock()
	defer w.mu.Unlock()
	var reply wire.Message
	var err error
	switch op {
	case wire.OpCreate:
		reply, err = run(data, w.create)
	case wire.OpTracksNew:
		reply, err = run(data, w.tracksNew)
	case wire.OpTracksClose:
		reply, err = run(data, w.tracksClose)
	case wire.OpRenegotiate:
		reply, err = run(data, w.renegotiate)
	case wire.OpGet:
		reply, err = run(data, w.get)
	case wire.OpClose:
		reply, err = run(data, w.close)
	}
	if err != nil {
		return w.encode(fault.From(err), fault.From(err))
	}
	return w.encode(reply, nil)
}

// run decodes a command and executes it.
func run[M any, P interface {
	*M
	wire.Message
}](data []byte, execute func(P) (wire.Message, error)) (wire.Message, error) {
	message := P(new(M))
	if err := wire.Decode(data, message); err != nil {
		return nil, fault.DecodingError.New("%v", err)
	}
	return execute(message)
}

func (w *Worker) encode(message any, f *fault.Fault) *nats.Msg {
	data, err := wire.Encode(message)
	if err != nil {
		w.tb.Error(err)
	}
	msg := &nats.Msg{Header: nats.Header{}, Data: data}
	if f != nil {
		msg.Header.Set(micro.ErrorCodeHeader, f.Code)
		msg.Header.Set(micro.ErrorHeader, strings.Join(strings.Fields(f.Description), " "))
	}
	return msg
}

// session returns the session, made where create says so.
func (w *Worker) session(ref wire.SessionRef, create bool) (*workerSession, error) {
	if s := w.sessions[ref]; s != nil {
		return s, nil
	}
	switch {
	case !create:
		return nil, fault.SessionGone.New("")
	case w.draining, w.options.MaxSessions > 0 && len(w.sessions) >= w.options.MaxSessions:
		return nil, fault.NoWorker.New("")
	}
	s := &workerSession{publications: map[ids.TrackName]wire.Publication{}}
	w.sessions[ref] = s
	return s, nil
}

func (w *Worker) create(c *wire.Create) (wire.Message, error) {
	s, err := w.session(c.SessionRef, true)
	if err != nil {
		return nil, err
	}
	return s.reply(answerTo(c.SessionDescription), nil, false), nil
}

func (w *Worker) tracksNew(c *wire.TracksNew) (wire.Message, error) {
	s, err := w.session(c.SessionRef, c.Create)
	if err != nil {
		return nil, err
	}
	var results []wire.TrackResult
	attached := false
	for _, p := range c.Push {
		mid := p.Mid
		if mid == "" {
			mid = s.nextMid()
		}
		s.publications[p.TrackName] = wire.Publication{TrackName: p.TrackName, Mid: mid, Kind: p.Kind, Generation: s.publications[p.TrackName].Generation + 1}
		results = append(results, wire.TrackResult{Mid: mid, TrackName: p.TrackName, Kind: p.Kind})
		attached = true
	}
	for _, p := range c.Pull {
		result := wire.TrackResult{TrackName: p.Track, Session: p.Session, Fault: w.unavailable(c.App, p)}
		if result.Fault == nil {
			result.Mid = s.nextMid()
			attached = true
		}
		results = append(results, result)
	}
	description := answerTo(c.SessionDescription)
	if description == nil && attached {
		description = &wire.SessionDescription{Type: wire.Offer, SDP: TestOffer}
	}
	return s.reply(description, results, len(c.Push) > 0), nil
}

// unavailable says why a publication cannot be pulled here.
func (w *Worker) unavailable(app ids.AppID, p wire.Pull) *fault.Fault {
	if p.Origin == nil {
		return fault.TrackNotFound.New("")
	}
	if p.Origin.Worker != w.ID {
		return fault.RelayUnavailable.New("")
	}
	publisher := w.sessions[wire.SessionRef{App: app, Session: p.Session}]
	if publisher == nil {
		return fault.TrackNotFound.New("")
	}
	if _, ok := publisher.publications[p.Track]; !ok {
		return fault.TrackNotFound.New("")
	}
	return nil
}

func (w *Worker) tracksClose(c *wire.TracksClose) (wire.Message, error) {
	s, err := w.session(c.SessionRef, false)
	if err != nil {
		return nil, err
	}
	results := make([]wire.TrackResult, len(c.Mids))
	for i, mid := range c.Mids {
		results[i] = wire.TrackResult{Mid: mid}
		if n, err := strconv.Atoi(mid); err != nil || n >= s.mids {
			results[i].Fault = fault.CloseTrackError.New("")
		}
		maps.DeleteFunc(s.publications, func(_ ids.TrackName, p wire.Publication) bool { return p.Mid == mid })
	}
	return s.reply(answerTo(c.SessionDescription), results, true), nil
}

func (w *Worker) renegotiate(c *wire.Renegotiate) (wire.Message, error) {
	s, err := w.session(c.SessionRef, false)
	if err != nil {
		return nil, err
	}
	return s.reply(nil, nil, false), nil
}

func (w *Worker) get(c *wire.Get) (wire.Message, error) {
	s, err := w.session(c.SessionRef, false)
	if err != nil {
		return nil, err
	}
	state := &wire.SessionState{SessionRef: c.SessionRef, Rev: s.rev, Worker: w.ID, Connection: wire.ConnectionConnected, Tracks: []wire.TrackState{}}
	for _, p := range s.list() {
		state.Tracks = append(state.Tracks, wire.TrackState{Direction: wire.DirectionPush, Mid: p.Mid, TrackName: p.TrackName, Kind: p.Kind, Status: wire.StatusActive})
	}
	return state, nil
}

func (w *Worker) close(c *wire.Close) (wire.Message, error) {
	s, err := w.session(c.SessionRef, false)
	if err != nil {
		return nil, err
	}
	delete(w.sessions, c.SessionRef)
	return s.reply(nil, nil, false), nil
}

func (s *workerSession) nextMid() string {
	s.mids++
	return strconv.Itoa(s.mids - 1)
}

func (s *workerSession) list() []wire.Publication {
	return slices.SortedFunc(maps.Values(s.publications), func(a, b wire.Publication) int {
		return strings.Compare(string(a.TrackName), string(b.TrackName))
	})
}

func (s *workerSession) reply(d *wire.SessionDescription, results []wire.TrackResult, carries bool) *wire.Reply {
	s.rev++
	reply := &wire.Reply{Rev: s.rev, SessionDescription: d, Tracks: results}
	if carries {
		list := s.list()
		reply.Publications = &list
	}
	return reply
}

func answerTo(offer *wire.SessionDescription) *wire.SessionDescription {
	if offer == nil {
		return nil
	}
	return &wire.SessionDescription{Type: wire.Answer, SDP: TestAnswer}
}
