// Package ids holds the identifiers of the system as types, so that an App is
// never passed where a Session is meant.
//
// Every identifier that crosses a process border is validated by its Parse
// function first: it is safe to embed a parsed value in a NATS subject, a Redis
// key or a log line. Values are immutable and safe for concurrent use.
package ids

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// AppID names a tenant. It isolates: nothing of one App is visible to another.
// 1 to 64 characters of [A-Za-z0-9_-].
type AppID string

// SessionID names one session (one PeerConnection seen from the client): 32
// lower-case hexadecimal characters, 128 random bits, made by NewSessionID.
type SessionID string

// TrackName names a publication within its session. Chosen by the client,
// case sensitive, unique within the session only, 1 to 128 bytes of UTF-8
// without control characters.
type TrackName string

// WorkerID names one life of one media worker process: "<label>-<random>". It
// is fresh at each start, so an id never means two processes. 1 to 64
// characters of [A-Za-z0-9_-].
type WorkerID string

// CommandID names one command to a worker; a retry of the command carries the
// same id. 1 to 128 characters of [A-Za-z0-9_-].
type CommandID string

// TrackKey is the address of a publication in the whole system.
type TrackKey struct {
	Session SessionID `json:"session"`
	Track   TrackName `json:"trackName"`
}

// String returns "session/track", for logs.
func (k TrackKey) String() string { return string(k.Session) + "/" + string(k.Track) }

// ErrInvalid is wrapped by every error of this package.
var ErrInvalid = errors.New("invalid identifier")

const maxTrackName = 128

// ParseAppID validates an App id.
func ParseAppID(s string) (AppID, error) {
	if err := token("app id", s, 64); err != nil {
		return "", err
	}
	return AppID(s), nil
}

// ParseSessionID validates the shape of a session id; it does not say whether
// the session exists.
func ParseSessionID(s string) (SessionID, error) {
	if len(s) != 32 {
		return "", fmt.Errorf("%w: session id has %d characters, want 32", ErrInvalid, len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", fmt.Errorf("%w: session id must be lower-case hexadecimal", ErrInvalid)
		}
	}
	return SessionID(s), nil
}

// ParseTrackName validates a client's track name.
func ParseTrackName(s string) (TrackName, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("%w: track name is empty", ErrInvalid)
	case len(s) > maxTrackName:
		return "", fmt.Errorf("%w: track name has %d bytes, at most %d", ErrInvalid, len(s), maxTrackName)
	case !utf8.ValidString(s):
		return "", fmt.Errorf("%w: track name is not UTF-8", ErrInvalid)
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("%w: track name holds a control character", ErrInvalid)
	}
	return TrackName(s), nil
}

// ParseWorkerID validates a worker id.
func ParseWorkerID(s string) (WorkerID, error) {
	if err := token("worker id", s, 64); err != nil {
		return "", err
	}
	return WorkerID(s), nil
}

// ParseCommandID validates a command id.
func ParseCommandID(s string) (CommandID, error) {
	if err := token("command id", s, 128); err != nil {
		return "", err
	}
	return CommandID(s), nil
}

// NewSessionID returns a fresh session id from the system's random source.
func NewSessionID() SessionID { return SessionID(randomHex(16)) }

// NewCommandID returns a fresh command id from the system's random source.
func NewCommandID() CommandID { return CommandID(randomHex(16)) }

// NewWorkerID returns a fresh worker id that starts with label, an operator's
// name for the worker (1 to 40 characters of [A-Za-z0-9_-]).
func NewWorkerID(label string) (WorkerID, error) {
	if err := token("worker label", label, 40); err != nil {
		return "", err
	}
	return WorkerID(label + "-" + randomHex(4)), nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand.Read aborts the process instead
	return hex.EncodeToString(b)
}

func token(what, s string, most int) error {
	if s == "" || len(s) > most {
		return fmt.Errorf("%w: %s has %d characters, want 1 to %d", ErrInvalid, what, len(s), most)
	}
	for i := range len(s) {
		c := s[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
		if !ok {
			return fmt.Errorf("%w: %s may hold letters, digits, '_' and '-' only", ErrInvalid, what)
		}
	}
	return nil
}
