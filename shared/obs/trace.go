package obs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// Trace is the identity of one call in W3C Trace Context form (level 1,
// "traceparent"): the same TraceID in every process that the call reaches, a
// new SpanID for each. The zero Trace is none. Values are immutable and safe
// for concurrent use.
type Trace struct {
	// TraceID is never all zero in a valid Trace.
	TraceID [16]byte
	// SpanID is never all zero in a valid Trace.
	SpanID [8]byte
	// Sampled says that the caller records this trace.
	Sampled bool
}

// NewTrace starts a trace with random ids, not sampled.
func NewTrace() Trace {
	var t Trace
	_, _ = rand.Read(t.TraceID[:]) // never fails: crypto/rand.Read aborts the process instead
	_, _ = rand.Read(t.SpanID[:])
	return t
}

// ParseTrace reads a traceparent header (W3C Trace Context section 3.2). It
// returns false when the header is absent or malformed: the receiver then
// starts a trace of its own, as the standard asks.
func ParseTrace(header string) (Trace, bool) {
	const shortest = len("00-") + 32 + len("-") + 16 + len("-00")
	if len(header) < shortest || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return Trace{}, false
	}
	version := header[:2]
	switch {
	case version == "ff":
		return Trace{}, false
	case version == "00" && len(header) != shortest:
		return Trace{}, false
	case len(header) > shortest && header[shortest] != '-': // a later version may append fields
		return Trace{}, false
	}
	var t Trace
	var flags, unused [1]byte
	ok := decodeHex(unused[:], version) && decodeHex(t.TraceID[:], header[3:35]) &&
		decodeHex(t.SpanID[:], header[36:52]) && decodeHex(flags[:], header[53:55])
	if !ok || !t.Valid() {
		return Trace{}, false
	}
	t.Sampled = flags[0]&1 == 1
	return t, true
}

// decodeHex reads lower-case hexadecimal only, as the standard demands.
func decodeHex(into []byte, s string) bool {
	if s != strings.ToLower(s) {
		return false
	}
	_, err := hex.Decode(into, []byte(s))
	return err == nil
}

// Valid reports whether neither id is all zero.
func (t Trace) Valid() bool { return t.TraceID != [16]byte{} && t.SpanID != [8]byte{} }

// Child returns the same trace with a new span id, for the next process.
func (t Trace) Child() Trace {
	_, _ = rand.Read(t.SpanID[:])
	return t
}

// ID returns the trace id in hexadecimal, for logs.
func (t Trace) ID() string { return hex.EncodeToString(t.TraceID[:]) }

// Header returns t as a traceparent header, or "" when t is not valid.
func (t Trace) Header() string {
	if !t.Valid() {
		return ""
	}
	flags := "-00"
	if t.Sampled {
		flags = "-01"
	}
	return "00-" + t.ID() + "-" + hex.EncodeToString(t.SpanID[:]) + flags
}

type traceKey struct{}

// WithTrace returns a context that carries t.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom returns the trace of ctx, and false when it carries none.
func TraceFrom(ctx context.Context) (Trace, bool) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	return t, ok && t.Valid()
}
