// Package fault holds the errors that a client of the HTTP API or of the NATS
// protocol can see. Every one of them is an entry of the catalogue
// api-spec/errors.yaml, from which catalogue.gen.go is generated: a Kind says
// the errorCode, the HTTP status and the default sentence; a Fault is one
// occurrence of it.
//
// A Fault's description says what was wrong and what to do; it never holds a
// secret or an internal name. Any other error is shown as Internal.
package fault

import (
	"errors"
	"fmt"
	"time"
)

//go:generate go run ./gen ../../api-spec/errors.yaml catalogue.gen.go

// Kind is one entry of the catalogue.
type Kind struct {
	// Name is the entry's key in errors.yaml, unique.
	Name string
	// Code is the errorCode that clients see: lower_snake, at most 64 characters.
	Code string
	// Subcode is the errorSubcode, or empty.
	Subcode string
	// Status is the HTTP status of a whole call that fails this way. Items of a
	// batch have no status: the call answers 200.
	Status int
	// Description is the errorDescription used when an occurrence gives none.
	Description string
	// RetryAfter is when the same call may be worth repeating; 0 says nothing.
	RetryAfter time.Duration
}

// New returns an occurrence of k. An empty format takes the catalogue's
// description.
func (k *Kind) New(format string, args ...any) *Fault {
	f := &Fault{Code: k.Code, Subcode: k.Subcode, Status: k.Status, Description: k.Description, RetryAfterMS: k.RetryAfter.Milliseconds()}
	if format != "" {
		f.Description = fmt.Sprintf(format, args...)
	}
	return f
}

// Is reports whether err is, or wraps, an occurrence of k.
func (k *Kind) Is(err error) bool {
	var f *Fault
	return errors.As(err, &f) && f.Code == k.Code && f.Subcode == k.Subcode && f.Status == k.Status
}

// Fault is one occurrence of a catalogued error. It travels as JSON in NATS
// replies, so its fields are part of the protocol.
type Fault struct {
	// Code is the errorCode of the HTTP API (contract: api-spec/errors.yaml).
	Code string `json:"code"`
	// Subcode is the errorSubcode, or empty.
	Subcode string `json:"subcode,omitempty"`
	// Status is the HTTP status for a whole call.
	Status int `json:"status,omitempty"`
	// Description is the errorDescription: what was wrong and what to do.
	Description string `json:"description"`
	// RetryAfterMS is the time in ms after which a retry may succeed; 0 says nothing.
	RetryAfterMS int64 `json:"retryAfterMs,omitempty"`
}

// Error implements error.
func (f *Fault) Error() string { return f.Code + ": " + f.Description }

// From returns the Fault that err is or wraps, or an Internal fault without
// err's text, which may hold internal detail. A nil err gives nil.
func From(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return Internal.New("")
}
