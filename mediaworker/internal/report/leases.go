package report

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// maxPublications bounds the publications of one announcement, so that with
// the longest names it stays below NATS's max_payload.
const maxPublications = 1000

// keepLeases renews every renewEvery, announces when asked, and repeats what
// failed a second later.
func (r *Reporter) keepLeases(ctx context.Context) {
	due := time.NewTimer(renewEvery)
	defer due.Stop()
	var announce, failing bool
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.announce:
			announce = true
			due.Reset(rand.N(announceSpread))
			continue
		case <-due.C:
		}
		var err error
		if announce {
			err = r.announceAll(ctx)
			announce = err != nil
		}
		if err == nil {
			err = r.renewAll(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if failing != (err != nil) {
			failing = err != nil
			r.logTurn(err)
		}
		if failing {
			due.Reset(retryAfter)
		} else {
			due.Reset(renewEvery)
		}
	}
}

// logTurn logs that renewals began to fail or to succeed, not every attempt.
func (r *Reporter) logTurn(err error) {
	if err != nil {
		r.Log.Warn("leases are not renewed; media flows on and renewal is retried every second", zap.Error(err))
		return
	}
	r.Log.Info("leases are renewed again")
}

// renewAll renews the lease of every session and does what the replies ask.
func (r *Reporter) renewAll(ctx context.Context) error {
	// Collected first: the registry must not be held while the directory thinks.
	var leases []wire.Lease
	for a := range r.Sessions.Leases() {
		leases = append(leases, a.Lease)
	}
	missing := make(map[ids.SessionID]bool)
	for batch := range slices.Chunk(leases, wire.MaxLeases) {
		var reply wire.RenewReply
		err := r.request(ctx, wire.SubjectDirectoryRenew, wire.Renew{Worker: r.Worker, Sessions: batch}, &reply)
		if err != nil {
			return err
		}
		r.fence(reply.Fenced)
		for _, s := range reply.Announce {
			missing[s] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	// As they are now: those that have ended meanwhile are left out.
	return r.announceIf(ctx, func(s ids.SessionID) bool { return missing[s] })
}

func (r *Reporter) announceAll(ctx context.Context) error {
	return r.announceIf(ctx, func(ids.SessionID) bool { return true })
}

func (r *Reporter) announceIf(ctx context.Context, wanted func(ids.SessionID) bool) error {
	var sessions []wire.Announcement
	for a := range r.Sessions.Leases() {
		if wanted(a.Session) {
			sessions = append(sessions, a)
		}
	}
	for len(sessions) > 0 {
		n := batchLen(sessions)
		var reply wire.AnnounceReply
		err := r.request(ctx, wire.SubjectDirectoryAnnounce, wire.Announce{Worker: r.Worker, Sessions: sessions[:n]}, &reply)
		if err != nil {
			return err
		}
		r.fence(reply.Fenced)
		sessions = sessions[n:]
	}
	return nil
}

// batchLen returns how many of the first sessions fit into one announcement, at
// least one.
func batchLen(sessions []wire.Announcement) int {
	publications := 0
	for i, s := range sessions {
		publications += len(s.Publications)
		if i == wire.MaxLeases || i > 0 && publications > maxPublications {
			return i
		}
	}
	return len(sessions)
}

func (r *Reporter) request(ctx context.Context, subject string, message any, reply wire.Message) error {
	data, err := wire.Encode(message)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	if data, err = r.Bus.Request(ctx, subject, data); err != nil {
		return err
	}
	return wire.Decode(data, reply)
}

func (r *Reporter) fence(sessions []ids.SessionID) {
	if len(sessions) == 0 {
		return
	}
	r.Log.Warn("another worker owns these sessions; closing them here", zap.Any("sessions", sessions))
	r.Sessions.Fence(sessions)
}
