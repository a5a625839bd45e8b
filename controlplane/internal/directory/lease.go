package directory

import (
	"context"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Renew extends the leases of a worker's sessions, in one round trip, and says
// which of them the directory lacks and which the worker does not own.
func (d *Directory) Renew(ctx context.Context, r *wire.Renew) (*wire.RenewReply, error) {
	calls := make([]call, len(r.Sessions))
	for i, lease := range r.Sessions {
		calls[i] = call{keys(lease.Session), []any{string(lease.App), string(r.Worker), lease.Rev, d.leaseMS()}}
	}
	statuses, err := d.runAll(ctx, renewScript, calls)
	if err != nil {
		return nil, err
	}
	var reply wire.RenewReply
	for i, status := range statuses {
		switch sid := r.Sessions[i].Session; status {
		case "announce":
			reply.Announce = append(reply.Announce, sid)
		case "fenced":
			reply.Fenced = append(reply.Fenced, sid)
		}
	}
	return &reply, nil
}

// Announce restores a worker's sessions, in one round trip, and says which of
// them the worker does not own.
func (d *Directory) Announce(ctx context.Context, a *wire.Announce) (*wire.AnnounceReply, error) {
	calls := make([]call, len(a.Sessions))
	for i, s := range a.Sessions {
		args, err := appendPublications([]any{string(s.App), string(a.Worker), s.Rev, d.leaseMS()}, s.Publications)
		if err != nil {
			return nil, err
		}
		calls[i] = call{keys(s.Session), args}
	}
	statuses, err := d.runAll(ctx, announceScript, calls)
	if err != nil {
		return nil, err
	}
	var fenced []ids.SessionID
	for i, status := range statuses {
		if status == "fenced" {
			fenced = append(fenced, a.Sessions[i].Session)
		}
	}
	return &wire.AnnounceReply{Fenced: fenced}, nil
}
