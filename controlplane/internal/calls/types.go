package calls

import (
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// CreateSession asks for a new session of an App.
type CreateSession struct {
	App ids.AppID
	// ThirdParty: the session talks to an ICE-lite peer, so that this side is a
	// full, controlling ICE agent.
	ThirdParty bool
	// CorrelationID is the client's diagnostic label. It is logged and nothing
	// else: it neither names the session nor makes the call idempotent.
	CorrelationID string
	// Offer negotiates at once; nil only creates the directory entry.
	Offer *wire.SessionDescription
}

// CreatedSession is a new session.
type CreatedSession struct {
	Session ids.SessionID
	// Answer answers the offer; nil when there was none.
	Answer *wire.SessionDescription
}

// Push publishes tracks of a session.
type Push struct {
	wire.SessionRef
	// Offer is the client's; nil lets the SFU offer.
	Offer *wire.SessionDescription
	// AutoDiscover publishes every new sending section of the offer.
	AutoDiscover bool
	Tracks       []wire.Push
}

// Pull subscribes a session to publications of its App.
type Pull struct {
	wire.SessionRef
	// Offer is the client's; nil lets the SFU offer.
	Offer *wire.SessionDescription
	// Tracks in request order. Origin is found by Pull and ignored here.
	Tracks []wire.Pull
}

// TracksResult is the outcome of Push, Pull and CloseTracks.
type TracksResult struct {
	// Description is an answer, an offer that the client must answer with
	// Renegotiate, or nil.
	Description *wire.SessionDescription
	// Tracks holds one result per requested track, in request order; for
	// AutoDiscover one per discovered track.
	Tracks []wire.TrackResult
}
