package sdpx

import "net/netip"

// Parse reads a description.
func Parse(text string) (*Description, error) { return nil, refuse(Malformed, "The description is empty.") }

// ValidateOffer judges an offer; previous is the description in force of the
// same side (the client's last offer or answer), nil on a fresh peer.
func ValidateOffer(offer, previous *Description) error { return nil }

// ValidateAnswer judges an answer to offer.
func ValidateAnswer(answer, offer *Description) error { return nil }

// Candidate is one host candidate of ours.
type Candidate struct {
	// Address is an IP; Port is shared by UDP and TCP.
	Address netip.AddrPort
	// TCP: a passive ICE-TCP candidate (RFC 6544), else UDP.
	TCP bool
}

// WireFacts are what the wire copy of a description must say and pion's text does not.
type WireFacts struct {
	// Setup of every section of an answer; ignored for offers, which are actpass.
	Setup Setup
	// ICELite writes the a=ice-lite line, or removes it.
	ICELite bool
	// Candidates go, once each, into the first live section, followed by
	// end-of-candidates. Nil: those that pion wrote.
	Candidates []Candidate
	// Ended lists mids whose section gets port 0 and leaves BUNDLE.
	Ended []string
	// Bundle is the order of the BUNDLE group (mids of sections that are not
	// live are left out, live ones not named follow in section order). Nil:
	// pion's order.
	Bundle []string
}

// WireOffer returns the copy of pion's offer for the client.
func WireOffer(pionSDP string, facts WireFacts) (string, error) { return pionSDP, nil }

// WireAnswer returns the copy of pion's answer for the client.
func WireAnswer(pionSDP string, facts WireFacts) (string, error) { return pionSDP, nil }
