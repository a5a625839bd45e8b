package sdpx

import "fmt"

// Reason classifies why a description is refused.
type Reason uint8

// The reasons.
const (
	// Malformed text: not a session description.
	Malformed Reason = iota + 1
	// TooLarge: over one of the limits of this package.
	TooLarge
	// Unusable: well-formed, but it cannot be negotiated.
	Unusable
	// Mismatch: it does not fit the description it follows.
	Mismatch
)

// String names the reason.
func (r Reason) String() string {
	switch r {
	case Malformed:
		return "malformed"
	case TooLarge:
		return "too large"
	case Unusable:
		return "unusable"
	case Mismatch:
		return "mismatch"
	}
	return "unknown"
}

// Error refuses a description. Its text is one sentence that says what is
// wrong and what to change, meant for the person whose client sent it.
type Error struct {
	Reason Reason
	// Sentence ends with a full stop.
	Sentence string
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Sentence }

func refuse(r Reason, format string, args ...any) *Error {
	return &Error{Reason: r, Sentence: fmt.Sprintf(format, args...)}
}
