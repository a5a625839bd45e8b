package httpapi

import (
	"context"

	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// CloseTracks serves PUT tracks/close.
func (e *edge) CloseTracks(ctx context.Context, r openapi.CloseTracksRequestObject) (openapi.CloseTracksResponseObject, error) {
	ref, err := sessionRef(r.AppID, r.SessionID)
	if err != nil {
		return nil, err
	}
	call := wire.TracksClose{SessionRef: ref, Force: r.Body.Force}
	if call.Mids, err = mids(r.Body.Tracks); err != nil {
		return nil, err
	}
	if !call.Force {
		if r.Body.SessionDescription == nil {
			return nil, undecodable("sessionDescription is missing: without force an offer is required")
		}
		if call.SessionDescription, err = description(r.Body.SessionDescription, wire.Offer); err != nil {
			return nil, err
		}
	}
	result, err := e.calls.CloseTracks(ctx, call)
	if err != nil {
		return nil, err
	}
	if len(result.Tracks) != len(call.Mids) {
		return nil, errResults
	}
	answer := openapi.CloseTracks200JSONResponse{
		SessionDescription: describe(result.Description),
		Tracks:             make([]openapi.CloseTrackResult, len(call.Mids)),
	}
	for i, mid := range call.Mids {
		answer.Tracks[i].Mid = mid
		if f := result.Tracks[i].Fault; f != nil {
			answer.Tracks[i].ErrorCode, answer.Tracks[i].ErrorDescription = itemFault(f)
		}
	}
	return answer, nil
}

func mids(tracks []openapi.CloseTrackRequest) ([]string, error) {
	switch {
	case len(tracks) == 0:
		return nil, undecodable("tracks is missing or empty")
	case len(tracks) > wire.MaxTracks:
		return nil, fault.InvalidParams.New("tracks has %d entries, at most %d are allowed in one call.", len(tracks), wire.MaxTracks)
	}
	var wrong indices
	list := make([]string, len(tracks))
	for i, t := range tracks {
		if list[i] = t.Mid; t.Mid == "" {
			wrong.add(i, "mid is missing")
		}
	}
	return list, wrong.err()
}
