package wire

import (
	"encoding/json"
	"errors"
	"fmt"

	"switchboard/shared/ids"
)

// ErrInvalid is wrapped by every decoding and validation error.
var ErrInvalid = errors.New("invalid message")

// Message is any message of the protocol that checks its own fields.
type Message interface{ Validate() error }

// Encode returns m as JSON. It fails only on a value that JSON cannot hold,
// which no message of this package is.
func Encode(m any) ([]byte, error) { return json.Marshal(m) }

// Decode reads data, one JSON document, into m and validates it. Unknown
// fields are ignored.
func Decode(data []byte, m Message) error {
	if err := json.Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// Validate implements Message.
func (r SessionRef) Validate() error {
	if _, err := ids.ParseAppID(string(r.App)); err != nil {
		return err
	}
	_, err := ids.ParseSessionID(string(r.Session))
	return err
}

// Validate implements Message. A nil description is valid.
func (d *SessionDescription) Validate() error {
	switch {
	case d == nil:
		return nil
	case d.Type != Offer && d.Type != Answer:
		return fmt.Errorf("sessionDescription.type is %q, want offer or answer", d.Type)
	case len(d.SDP) > MaxSDP:
		return fmt.Errorf("sessionDescription.sdp has %d bytes, at most %d", len(d.SDP), MaxSDP)
	}
	return nil
}

// Validate implements Message.
func (c *Create) Validate() error {
	return errors.Join(c.SessionRef.Validate(), c.SessionDescription.Validate())
}

// Validate implements Message.
func (c *TracksNew) Validate() error {
	if err := errors.Join(c.SessionRef.Validate(), c.SessionDescription.Validate()); err != nil {
		return err
	}
	switch n := len(c.Push) + len(c.Pull); {
	case n > MaxTracks:
		return fmt.Errorf("%d tracks, at most %d", n, MaxTracks)
	case len(c.Push) > 0 && len(c.Pull) > 0:
		return errors.New("push and pull in one command")
	case n == 0 && !c.AutoDiscover:
		return errors.New("no tracks and no autoDiscover")
	}
	for i, p := range c.Push {
		if _, err := ids.ParseTrackName(string(p.TrackName)); err != nil {
			return fmt.Errorf("push[%d]: %w", i, err)
		}
	}
	for i, p := range c.Pull {
		if err := p.validate(); err != nil {
			return fmt.Errorf("pull[%d]: %w", i, err)
		}
	}
	return nil
}

func (p *Pull) validate() error {
	if _, err := ids.ParseTrackName(string(p.Track)); err != nil {
		return err
	}
	// The session may be any text of a client that the directory did not find.
	if p.Origin == nil {
		return nil
	}
	if _, err := ids.ParseSessionID(string(p.Session)); err != nil {
		return err
	}
	_, err := ids.ParseWorkerID(string(p.Origin.Worker))
	return err
}

// Validate implements Message.
func (c *TracksClose) Validate() error {
	if err := errors.Join(c.SessionRef.Validate(), c.SessionDescription.Validate()); err != nil {
		return err
	}
	switch {
	case len(c.Mids) == 0:
		return errors.New("no mids")
	case len(c.Mids) > MaxTracks:
		return fmt.Errorf("%d mids, at most %d", len(c.Mids), MaxTracks)
	case !c.Force && c.SessionDescription == nil:
		return errors.New("sessionDescription is required without force")
	}
	return nil
}

// Validate implements Message.
func (c *Renegotiate) Validate() error {
	return errors.Join(c.SessionRef.Validate(), c.SessionDescription.Validate())
}

// Validate implements Message.
func (r *Renew) Validate() error { return validLeases(r.Worker, len(r.Sessions)) }

// Validate implements Message.
func (a *Announce) Validate() error { return validLeases(a.Worker, len(a.Sessions)) }

func validLeases(w ids.WorkerID, n int) error {
	if n > MaxLeases {
		return fmt.Errorf("%d sessions, at most %d", n, MaxLeases)
	}
	_, err := ids.ParseWorkerID(string(w))
	return err
}

// Validate implements Message.
func (h *Heartbeat) Validate() error {
	if h.State != WorkerServing && h.State != WorkerDraining {
		return fmt.Errorf("state is %q, want %s or %s", h.State, WorkerServing, WorkerDraining)
	}
	_, err := ids.ParseWorkerID(string(h.Worker))
	return err
}

// Validate implements Message.
func (b *Bye) Validate() error {
	_, err := ids.ParseWorkerID(string(b.Worker))
	return err
}

// Validate implements Message.
func (l *Located) Validate() error {
	_, err := ids.ParseWorkerID(string(l.Worker))
	return errors.Join(l.SessionRef.Validate(), err)
}

// Validate implements Message.
func (n *WorkersNotice) Validate() error { return nil }

// Validate implements Message.
func (r *Reply) Validate() error { return r.SessionDescription.Validate() }

// Validate implements Message.
func (s *SessionState) Validate() error { return s.SessionRef.Validate() }

// Validate implements Message.
func (r *RenewReply) Validate() error { return nil }

// Validate implements Message.
func (r *AnnounceReply) Validate() error { return nil }

// Validate implements Message.
func (d *Drain) Validate() error {
	if d.DeadlineMS < 0 {
		return fmt.Errorf("deadlineMs is %d, want 0 or more", d.DeadlineMS)
	}
	return nil
}

// Validate implements Message.
func (s *Snapshot) Validate() error { return s.Heartbeat.Validate() }
