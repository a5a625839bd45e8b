package wire

import (
	"switchboard/shared/fault"
	"switchboard/shared/ids"
)

// Limits of version 1.
const (
	// MaxSDP is the largest session description, bytes.
	MaxSDP = 512 << 10
	// MaxTracks is the most tracks one command may name.
	MaxTracks = 64
	// MinMaxPayload is the least NATS max_payload, bytes, with which a worker
	// or control plane starts.
	MinMaxPayload = 1 << 20
)

// Kind is a media kind.
type Kind string

// The media kinds (RFC 8866 section 8.2.1).
const (
	Audio Kind = "audio"
	Video Kind = "video"
)

// SDPType says what a session description is (RFC 8829 section 4.1.8).
type SDPType string

// The session description types in use.
const (
	Offer  SDPType = "offer"
	Answer SDPType = "answer"
)

// SessionDescription is an offer or an answer with its SDP.
type SessionDescription struct {
	Type SDPType `json:"type"`
	SDP  string  `json:"sdp"`
}

// SessionRef names the session a command is for. It is part of every command.
type SessionRef struct {
	App     ids.AppID     `json:"app"`
	Session ids.SessionID `json:"session"`
}

// Origin says on which worker a pulled publication lives.
type Origin struct {
	// Worker holds the publication.
	Worker ids.WorkerID `json:"worker"`
}

// Create makes a session on a worker. Repeating it on a session that exists is
// not an error. With an offer it negotiates at once, publishing nothing.
type Create struct {
	SessionRef
	// ThirdParty: the session talks to an ICE-lite peer, so that this side is a
	// full, controlling ICE agent.
	ThirdParty bool `json:"thirdParty,omitempty"`
	// SessionDescription is the client's offer, or absent.
	SessionDescription *SessionDescription `json:"sessionDescription,omitempty"`
}

// TracksNew pushes tracks, or pulls tracks, never both.
type TracksNew struct {
	SessionRef
	// Create makes the session if the worker does not hold it: the control
	// plane sets it on a session that never negotiated. Without it an unknown
	// session fails with SessionGone.
	Create bool `json:"create,omitempty"`
	// ThirdParty as in the Create command; read only where Create makes the session.
	ThirdParty bool `json:"thirdParty,omitempty"`
	// SessionDescription is the client's offer, or absent: then the SFU offers.
	SessionDescription *SessionDescription `json:"sessionDescription,omitempty"`
	// AutoDiscover publishes every new sending section of the offer under a
	// random name.
	AutoDiscover bool `json:"autoDiscover,omitempty"`
	// Push lists the tracks that the client sends, in request order.
	Push []Push `json:"push,omitempty"`
	// Pull lists the tracks that the client wants, in request order.
	Pull []Pull `json:"pull,omitempty"`
}

// Push is one track that the client sends.
type Push struct {
	// Mid of the sending section in the client's offer; empty when the SFU offers.
	Mid       string        `json:"mid,omitempty"`
	TrackName ids.TrackName `json:"trackName"`
	// Kind is required when the SFU offers.
	Kind Kind `json:"kind,omitempty"`
	// Bidirectional makes the section sendrecv, for a later pull into it.
	Bidirectional bool `json:"bidirectional,omitempty"`
}

// Pull is one track that the client wants.
type Pull struct {
	ids.TrackKey
	// Mid: empty, a literal mid of this session, or "#name" for the section of
	// the session's own bidirectional publication of that name.
	Mid string `json:"mid,omitempty"`
	// Kind, where the client gave it: picks the section of a client's offer.
	Kind Kind `json:"kind,omitempty"`
	// Bidirectional makes the section sendrecv.
	Bidirectional bool `json:"bidirectional,omitempty"`
	// Simulcast is the wish for layers; absent means automatic.
	Simulcast *Simulcast `json:"simulcast,omitempty"`
	// Origin is where the publication's session lives; absent when the
	// directory knows no such session in this App: the item then fails with
	// TrackNotFound.
	Origin *Origin `json:"origin,omitempty"`
}

// Ordering says how to step between layers.
type Ordering string

// The orderings.
const (
	OrderingNone         Ordering = "none"
	OrderingAsciibetical Ordering = "asciibetical"
)

// Simulcast is a subscriber's wish for layers (contract of tracks/new).
type Simulcast struct {
	// PreferredRID is the wanted layer; empty means no preference.
	PreferredRID string `json:"preferredRid,omitempty"`
	// PriorityOrdering: step down by bandwidth (asciibetical) or never (none).
	PriorityOrdering Ordering `json:"priorityOrdering,omitempty"`
	// RIDNotAvailable: send the next layer when the wanted one is not sent
	// (asciibetical), or nothing (none).
	RIDNotAvailable Ordering `json:"ridNotAvailable,omitempty"`
}

// TracksClose ends tracks of a session by the mids of their sections.
type TracksClose struct {
	SessionRef
	Mids []string `json:"mids"`
	// Force stops media without SDP; otherwise SessionDescription is the
	// client's offer and the reply holds an answer, whatever happened.
	Force              bool                `json:"force,omitempty"`
	SessionDescription *SessionDescription `json:"sessionDescription,omitempty"`
}

// Renegotiate delivers the client's answer to the SFU's outstanding offer.
type Renegotiate struct {
	SessionRef
	SessionDescription SessionDescription `json:"sessionDescription"`
}

// Get asks for a session's state.
type Get struct{ SessionRef }

// Close ends a session.
type Close struct{ SessionRef }

// Reply answers every session command but Get.
type Reply struct {
	// Rev counts the session's executed commands; later state has a higher rev.
	Rev uint64 `json:"rev"`
	// SessionDescription: an answer to the client's offer, or an offer that the
	// client must answer with Renegotiate, or absent.
	SessionDescription *SessionDescription `json:"sessionDescription,omitempty"`
	// Tracks holds one result per requested track, in request order; for
	// AutoDiscover one per discovered track.
	Tracks []TrackResult `json:"tracks,omitempty"`
	// Publications is the session's whole list when this command changed it,
	// else absent (null): the directory replaces its list when Rev is newer.
	Publications *[]Publication `json:"publications,omitempty"`
}

// TrackResult is the outcome of one requested track.
type TrackResult struct {
	// Mid of the track's section; empty when the item failed, except in a
	// close, which echoes the requested mid.
	Mid       string        `json:"mid,omitempty"`
	TrackName ids.TrackName `json:"trackName,omitempty"`
	// Session is the publisher, for pulls.
	Session       ids.SessionID `json:"session,omitempty"`
	Kind          Kind          `json:"kind,omitempty"`
	Bidirectional bool          `json:"bidirectional,omitempty"`
	// Fault is why the item failed; absent on success.
	Fault *fault.Fault `json:"fault,omitempty"`
}

// Publication is one pushed track, as the directory keeps it.
type Publication struct {
	TrackName ids.TrackName `json:"trackName"`
	Mid       string        `json:"mid"`
	Kind      Kind          `json:"kind"`
	// Generation counts the times this name was published in the session.
	Generation uint64 `json:"generation"`
}
