package testkit

import (
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	// leaseTimeout bounds a Worker's request to the directory.
	leaseTimeout = 5 * time.Second
	// retryAfter is the pause before an announcement that failed is repeated.
	retryAfter = 50 * time.Millisecond
)

// locate answers when the worker holds the session.
func (w *Worker) locate(msg *nats.Msg) {
	var l wire.Locate
	if err := wire.Decode(msg.Data, &l); err != nil {
		w.tb.Error(err)
		return
	}
	w.mu.Lock()
	s := w.sessions[l.SessionRef]
	silent := w.frozen || s == nil
	located := wire.Located{SessionRef: l.SessionRef, Worker: w.ID}
	if !silent {
		located.Rev = s.rev
	}
	w.mu.Unlock()
	if !silent {
		w.publish(msg.Reply, located)
	}
}

func (w *Worker) notice(msg *nats.Msg) {
	var n wire.WorkersNotice
	if err := wire.Decode(msg.Data, &n); err != nil {
		w.tb.Error(err)
		return
	}
	if n.Heartbeat {
		w.Beat()
	}
	if n.Announce {
		// Off the subscription's goroutine, which must not wait for an answer.
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.stopped && !w.frozen {
			w.running.Go(w.Announce)
		}
	}
}

// Announce announces every session, until the directory answers, and closes those
// that are fenced.
func (w *Worker) Announce() {
	w.mu.Lock()
	refs := make([]wire.SessionRef, 0, len(w.sessions))
	for ref := range w.sessions {
		refs = append(refs, ref)
	}
	w.mu.Unlock()
	w.announce(refs)
}

// Renew renews the leases of every session now, announces what the directory
// lacks and closes what is fenced. It reports whether the directory answered.
func (w *Worker) Renew() bool {
	refs := map[ids.SessionID]wire.SessionRef{}
	w.mu.Lock()
	leases := make([]wire.Lease, 0, len(w.sessions))
	for ref, s := range w.sessions {
		refs[ref.Session] = ref
		leases = append(leases, wire.Lease{SessionRef: ref, Rev: s.rev})
	}
	w.mu.Unlock()
	var missing []wire.SessionRef
	for some := range slices.Chunk(leases, wire.MaxLeases) {
		var reply wire.RenewReply
		if !w.ask(wire.SubjectDirectoryRenew, wire.Renew{Worker: w.ID, Sessions: some}, &reply) {
			return false
		}
		w.fence(reply.Fenced)
		for _, sid := range reply.Announce {
			missing = append(missing, refs[sid])
		}
	}
	w.announce(missing)
	return true
}

func (w *Worker) announce(refs []wire.SessionRef) {
	for some := range slices.Chunk(refs, wire.MaxLeases) {
		announce := wire.Announce{Worker: w.ID}
		w.mu.Lock()
		for _, ref := range some {
			if s := w.sessions[ref]; s != nil {
				announce.Sessions = append(announce.Sessions, wire.Announcement{Lease: wire.Lease{SessionRef: ref, Rev: s.rev}, Publications: s.list()})
			}
		}
		w.mu.Unlock()
		var reply wire.AnnounceReply
		for !w.ask(wire.SubjectDirectoryAnnounce, announce, &reply) {
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(retryAfter):
			}
		}
		w.fence(reply.Fenced)
	}
}

// fence closes sessions that another worker owns.
func (w *Worker) fence(sessions []ids.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, sid := range sessions {
		for ref := range w.sessions {
			if ref.Session == sid {
				delete(w.sessions, ref)
				w.fenced = append(w.fenced, sid)
			}
		}
	}
}

// ask sends a request to the directory and reports whether it was answered
// without a fault.
func (w *Worker) ask(subject string, request any, reply wire.Message) bool {
	data, err := wire.Encode(request)
	if err != nil {
		w.tb.Error(err)
		return false
	}
	msg, err := w.nc.Request(subject, data, leaseTimeout)
	if err != nil || msg.Header.Get(micro.ErrorCodeHeader) != "" {
		return false
	}
	if err := wire.Decode(msg.Data, reply); err != nil {
		w.tb.Errorf("%s: %v", subject, err)
		return false
	}
	return true
}
