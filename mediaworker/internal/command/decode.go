package command

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"switchboard/mediaworker/internal/session"
	"switchboard/shared/ids"
	"switchboard/shared/obs"
	"switchboard/shared/wire"
)

const (
	// defaultBudget is for a sender that names none. It holds the longest wait
	// of a command, 5 s for connectivity, with room.
	defaultBudget = 8 * time.Second
	// maxBudget bounds how long one command may keep its slot.
	maxBudget = 30 * time.Second
)

// decoded is one session command with what its headers say.
type decoded struct {
	session.Command
	ref    wire.SessionRef
	budget time.Duration
	trace  obs.Trace
}

// message returns an empty message of op and its session, which points into
// the message.
func message(op wire.Operation) (wire.Message, *wire.SessionRef) {
	switch op {
	case wire.OpCreate:
		m := &wire.Create{}
		return m, &m.SessionRef
	case wire.OpTracksNew:
		m := &wire.TracksNew{}
		return m, &m.SessionRef
	case wire.OpTracksClose:
		m := &wire.TracksClose{}
		return m, &m.SessionRef
	case wire.OpRenegotiate:
		m := &wire.Renegotiate{}
		return m, &m.SessionRef
	case wire.OpGet:
		m := &wire.Get{}
		return m, &m.SessionRef
	case wire.OpClose:
		m := &wire.Close{}
		return m, &m.SessionRef
	}
	return nil, nil
}

// decode reads a session command. Its errors wrap wire.ErrInvalid and may be
// shown to the sender. Without a command id the command gets a fresh one: it
// can then not be retried. A malformed traceparent is ignored, as the W3C's
// standard asks.
func decode(op wire.Operation, header nats.Header, body []byte) (decoded, error) {
	d := decoded{budget: defaultBudget}
	d.Op = op
	d.trace, _ = obs.ParseTrace(header.Get(wire.HeaderTrace))

	if t := header.Get(wire.HeaderContentType); t != "" && t != wire.ContentTypeJSON {
		return d, fmt.Errorf("%w: %s is %q, want %s", wire.ErrInvalid, wire.HeaderContentType, t, wire.ContentTypeJSON)
	}
	if b := header.Get(wire.HeaderBudget); b != "" {
		ms, err := strconv.ParseUint(b, 10, 32)
		if err != nil {
			return d, fmt.Errorf("%w: %s is %q, want milliseconds", wire.ErrInvalid, wire.HeaderBudget, b)
		}
		d.budget = min(time.Duration(ms)*time.Millisecond, maxBudget)
	}
	d.ID = ids.CommandID(header.Get(wire.HeaderCommandID))
	if d.ID == "" {
		d.ID = ids.NewCommandID()
	} else if _, err := ids.ParseCommandID(string(d.ID)); err != nil {
		return d, fmt.Errorf("%w: %s: %w", wire.ErrInvalid, wire.HeaderCommandID, err)
	}

	m, ref := message(op)
	if m == nil {
		return d, fmt.Errorf("%w: unknown operation %q", wire.ErrInvalid, op)
	}
	if err := wire.Decode(body, m); err != nil {
		return d, err
	}
	d.Message, d.ref = m, *ref
	return d, nil
}
