package sdpx

import "github.com/pion/sdp/v3"

// Limits of a session description. Parse refuses more with [TooLarge].
const (
	// MaxBytes is the longest description, bytes.
	MaxBytes = 512 << 10
	// MaxLines is the most lines.
	MaxLines = 20_000
	// MaxLine is the longest line, bytes, without its line end.
	MaxLine = 8 << 10
	// MaxSections is the most media sections.
	MaxSections = 1_000
)

// Kind is what a media section carries (RFC 8866 section 5.14).
type Kind string

// The kinds that sessions use. Other kinds are parsed and refused by the
// validators unless their port is 0.
const (
	Audio       Kind = "audio"
	Video       Kind = "video"
	Application Kind = "application"
)

// Direction is a section's media direction (RFC 8866 section 6.7), from the
// view of who wrote the description.
type Direction string

// The directions.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Sends reports whether the writer of the description sends in the section.
func (d Direction) Sends() bool { return d == SendRecv || d == SendOnly }

// Receives reports whether the writer of the description receives in the section.
func (d Direction) Receives() bool { return d == SendRecv || d == RecvOnly }

// Setup is a DTLS role (RFC 8842 section 5).
type Setup string

// The DTLS roles.
const (
	ActPass  Setup = "actpass"
	Active   Setup = "active"
	Passive  Setup = "passive"
	HoldConn Setup = "holdconn"
)

// Fingerprint is a certificate's hash (RFC 8122 section 5).
type Fingerprint struct {
	// Algorithm in lower case, for example "sha-256".
	Algorithm string
	// Value is upper-case hexadecimal pairs with colons.
	Value string
}

// Codec is one payload type of a section.
type Codec struct {
	PayloadType uint8
	// Name as written, for example "VP8", "opus", "rtx". Compare without case.
	Name      string
	ClockRate uint32
	// Channels is 0 when the description names none.
	Channels uint16
	// Fmtp is the format's parameters, or empty.
	Fmtp string
	// Feedback lists the a=rtcp-fb values, for example "nack pli".
	Feedback []string
}

// Extension is one RTP header extension (RFC 8285 section 5).
type Extension struct {
	ID  uint16
	URI string
}

// Msid is one a=msid (RFC 8830).
type Msid struct{ Stream, Track string }

// RID is one a=rid (RFC 8851).
type RID struct {
	ID string
	// Send is true for encodings that the writer of the description sends.
	Send bool
	// Restrictions is the text after the direction, or empty.
	Restrictions string
}

// Simulcast is a=simulcast (RFC 8853): the RIDs of each direction's streams, a
// stream's alternatives joined by commas, a paused one with a tilde before it.
type Simulcast struct{ Send, Recv []string }

// Source is a media stream declared by SSRC (RFC 5576).
type Source struct {
	SSRC uint32
	// RTX is the SSRC of its retransmissions (FID group), 0 if none.
	RTX uint32
}

// Section is one media section of a description. Lists keep the order of the
// text; what cannot be read is left out of them.
type Section struct {
	// Index in the description, from 0.
	Index int
	Mid   string
	Kind  Kind
	// Protocol, for example "UDP/TLS/RTP/SAVPF".
	Protocol string
	// Port is 0 when the section is rejected or ended. A section that shares
	// its bundle's transport (a=bundle-only) also has port 0 on the wire, see Live.
	Port       uint16
	BundleOnly bool
	Direction  Direction
	Setup      Setup
	// ICEUfrag and ICEPwd are the section's own, else the session's.
	ICEUfrag, ICEPwd string
	// Fingerprints are the section's own, else the session's.
	Fingerprints []Fingerprint
	RTCPMux      bool
	Codecs       []Codec
	Extensions   []Extension
	Msids        []Msid
	RIDs         []RID
	Simulcast    Simulcast
	Sources      []Source
	// Candidates are the usable values of a=candidate lines, without "candidate:".
	Candidates []string

	// media is the same section as pion reads it.
	media *sdp.MediaDescription
}

// Live reports whether the section is in use: its port is not 0, or it is
// bundle-only (RFC 9143 section 6).
func (s *Section) Live() bool { return s.Port != 0 || s.BundleOnly }

// Description is the read model of a session description.
type Description struct {
	// Text is the description with every line ended by CRLF: what pion gets.
	Text     string
	Sections []Section
	// Bundle lists the mids of the first BUNDLE group, in its order; its first
	// element is the tag that owns the transport (RFC 9143 section 7.2).
	Bundle []string
	// ICELite is a=ice-lite.
	ICELite bool

	// parsed is the same text as pion reads it; the validators look at it
	// where pion's reading differs from the model.
	parsed *sdp.SessionDescription
}

// BundleTag is the mid that owns the transport, or "" without a BUNDLE group.
func (d *Description) BundleTag() string {
	if len(d.Bundle) == 0 {
		return ""
	}
	return d.Bundle[0]
}

// Section returns the section with that mid, or nil.
func (d *Description) Section(mid string) *Section {
	for i := range d.Sections {
		if d.Sections[i].Mid == mid {
			return &d.Sections[i]
		}
	}
	return nil
}

// Mids lists the mids of the live sections, in order.
func (d *Description) Mids() []string {
	mids := make([]string, 0, len(d.Sections))
	for i := range d.Sections {
		if d.Sections[i].Live() {
			mids = append(mids, d.Sections[i].Mid)
		}
	}
	return mids
}
