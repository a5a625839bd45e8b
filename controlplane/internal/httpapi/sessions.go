package httpapi

import (
	"context"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// CreateSession serves POST sessions/new.
func (e *edge) CreateSession(ctx context.Context, r openapi.CreateSessionRequestObject) (openapi.CreateSessionResponseObject, error) {
	call := calls.CreateSession{
		App:           ids.AppID(r.AppID),
		ThirdParty:    value(r.Params.Thirdparty),
		CorrelationID: value(r.Params.CorrelationID),
	}
	if r.Body != nil {
		offer, err := description(r.Body.SessionDescription, wire.Offer)
		if err != nil {
			return nil, err
		}
		call.Offer = offer
	}
	created, err := e.calls.CreateSession(ctx, call)
	if err != nil {
		return nil, err
	}
	return openapi.CreateSession201JSONResponse{
		SessionID:          string(created.Session),
		SessionDescription: describe(created.Answer),
	}, nil
}

// GetSession serves GET sessions/{sessionId}.
func (e *edge) GetSession(ctx context.Context, r openapi.GetSessionRequestObject) (openapi.GetSessionResponseObject, error) {
	ref, err := sessionRef(r.AppID, r.SessionID)
	if err != nil {
		return nil, err
	}
	state, err := e.calls.Describe(ctx, ref)
	if err != nil {
		return nil, err
	}
	answer := openapi.GetSession200JSONResponse{
		Tracks:            make([]openapi.TrackState, 0, len(state.Tracks)),
		DataChannels:      []openapi.DataChannelState{},
		ConnectionState:   openapi.SessionStateConnectionState(state.Connection),
		ConnectionVerdict: optional(state.Verdict),
	}
	for _, t := range state.Tracks {
		answer.Tracks = append(answer.Tracks, trackState(t))
	}
	return answer, nil
}

func trackState(t wire.TrackState) openapi.TrackState {
	state := openapi.TrackState{
		Location:  openapi.Local,
		Mid:       t.Mid,
		TrackName: string(t.TrackName),
		Kind:      optional(openapi.Kind(t.Kind)),
		Status:    openapi.TrackStatus(t.Status),
	}
	if t.Direction == wire.DirectionPull {
		state.Location = openapi.Remote
		state.SessionID = optional(string(t.Session))
	}
	return state
}

// sessionRef reads the path. A text that is no session id names no session.
func sessionRef(app, session string) (wire.SessionRef, error) {
	id, err := ids.ParseSessionID(session)
	if err != nil {
		return wire.SessionRef{}, fault.SessionGone.New("")
	}
	return wire.SessionRef{App: ids.AppID(app), Session: id}, nil
}

// describe converts a description for the client, nil for nil.
func describe(d *wire.SessionDescription) *openapi.SessionDescription {
	if d == nil {
		return nil
	}
	return &openapi.SessionDescription{Type: openapi.SDPType(d.Type), SDP: d.SDP}
}

// value returns what p points to, or the zero value.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// optional returns nil for the zero value: the field is then left out.
func optional[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
