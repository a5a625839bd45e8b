package httpapi

import (
	"context"
	"errors"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// NewTracks serves POST tracks/new. Here, and nowhere deeper, "local" is a push
// and "remote" a pull.
func (e *edge) NewTracks(ctx context.Context, r openapi.NewTracksRequestObject) (openapi.NewTracksResponseObject, error) {
	answer, err := e.newTracks(ctx, r)
	if err != nil {
		return nil, &batchError{error: err, tracks: failAll(value(r.Body.Tracks), err)}
	}
	return answer, nil
}

func (e *edge) newTracks(ctx context.Context, r openapi.NewTracksRequestObject) (openapi.NewTracksResponseObject, error) {
	ref, err := sessionRef(r.AppID, r.SessionID)
	if err != nil {
		return nil, err
	}
	tracks, discover := value(r.Body.Tracks), value(r.Body.AutoDiscover)
	location, err := checkTracks(tracks, discover)
	if err != nil {
		return nil, err
	}
	offer, err := description(r.Body.SessionDescription, wire.Offer)
	if err != nil {
		return nil, err
	}
	var result calls.TracksResult
	if location == openapi.Local {
		result, err = e.push(ctx, calls.Push{SessionRef: ref, Offer: offer, AutoDiscover: discover}, tracks)
	} else {
		result, err = e.pull(ctx, calls.Pull{SessionRef: ref, Offer: offer}, tracks)
	}
	if err != nil {
		return nil, err
	}
	return tracksResponse(result, location, tracks)
}

// checkTracks checks what does not depend on the direction and returns the
// direction, which all tracks of a call share.
func checkTracks(tracks []openapi.TrackRequest, discover bool) (openapi.Location, error) {
	switch {
	case len(tracks) > wire.MaxTracks:
		return "", fault.InvalidParams.New("tracks has %d entries, at most %d are allowed in one call.", len(tracks), wire.MaxTracks)
	case len(tracks) == 0 && !discover:
		return "", fault.InvalidParams.New("tracks is empty: name at least one track, or push every section of an offer with autoDiscover.")
	case len(tracks) == 0:
		return openapi.Local, nil
	}
	if err := checkEntries(tracks); err != nil {
		return "", err
	}
	for _, t := range tracks {
		if t.Location != tracks[0].Location {
			return "", fault.InvalidParams.New("tracks holds local and remote entries: push and pull in separate calls.")
		}
	}
	if discover && tracks[0].Location == openapi.Remote {
		return "", fault.InvalidParams.New("autoDiscover pushes and cannot be combined with remote tracks.")
	}
	return tracks[0].Location, nil
}

// checkEntries checks what each entry must have by itself.
func checkEntries(tracks []openapi.TrackRequest) error {
	var wrong indices
	for i, t := range tracks {
		switch {
		case t.Location == "":
			wrong.add(i, "location is missing")
		case !t.Location.Valid():
			wrong.add(i, "location must be local or remote")
		case t.TrackName == "":
			wrong.add(i, "trackName is missing")
		default:
			if _, err := ids.ParseTrackName(t.TrackName); err != nil {
				wrong.add(i, "trackName may have 128 bytes and no control character")
			}
		}
	}
	return wrong.err()
}

func (e *edge) push(ctx context.Context, call calls.Push, tracks []openapi.TrackRequest) (calls.TracksResult, error) {
	if call.AutoDiscover && call.Offer == nil {
		return calls.TracksResult{}, fault.InvalidParams.New("autoDiscover needs an offer in sessionDescription.")
	}
	var wrong indices
	for i, t := range tracks {
		kind := knownKind(t.Kind)
		if call.Offer == nil && kind == "" {
			wrong.add(i, "kind must be audio or video where no offer is sent")
		}
		call.Tracks = append(call.Tracks, wire.Push{
			Mid:           value(t.Mid),
			TrackName:     ids.TrackName(t.TrackName),
			Kind:          kind,
			Bidirectional: value(t.BidirectionalMediaStream),
		})
	}
	if err := wrong.err(); err != nil {
		return calls.TracksResult{}, err
	}
	return e.calls.Push(ctx, call)
}

func (e *edge) pull(ctx context.Context, call calls.Pull, tracks []openapi.TrackRequest) (calls.TracksResult, error) {
	for i, t := range tracks {
		wish, ok := simulcast(t.Simulcast)
		if !ok {
			return calls.TracksResult{}, fault.InvalidParams.New("tracks %d: priorityOrdering and ridNotAvailable of simulcast must be none or asciibetical.", i)
		}
		call.Tracks = append(call.Tracks, wire.Pull{
			// Not parsed: a text that names no session fails its own item only.
			TrackKey:      ids.TrackKey{Session: ids.SessionID(value(t.SessionID)), Track: ids.TrackName(t.TrackName)},
			Mid:           value(t.Mid),
			Kind:          knownKind(t.Kind),
			Bidirectional: value(t.BidirectionalMediaStream),
			Simulcast:     wish,
		})
	}
	return e.calls.Pull(ctx, call)
}

// knownKind returns a kind that means something, else "": clients echo fields
// that they do not use.
func knownKind(kind *openapi.Kind) wire.Kind {
	if kind == nil || !kind.Valid() {
		return ""
	}
	return wire.Kind(*kind)
}

func simulcast(s *openapi.Simulcast) (*wire.Simulcast, bool) {
	if s == nil {
		return nil, true
	}
	for _, o := range []*openapi.Ordering{s.PriorityOrdering, s.RIDNotAvailable} {
		if o != nil && *o != "" && !o.Valid() {
			return nil, false
		}
	}
	return &wire.Simulcast{
		PreferredRID:     value(s.PreferredRID),
		PriorityOrdering: wire.Ordering(value(s.PriorityOrdering)),
		RIDNotAvailable:  wire.Ordering(value(s.RIDNotAvailable)),
	}, true
}

// errResults is a defect of the worker: the API promises one result per track.
var errResults = errors.New("results do not match the requested tracks")

func tracksResponse(result calls.TracksResult, location openapi.Location, asked []openapi.TrackRequest) (openapi.NewTracksResponseObject, error) {
	if len(result.Tracks) < len(asked) || len(asked) > 0 && location == openapi.Remote && len(result.Tracks) != len(asked) {
		return nil, errResults
	}
	answer := openapi.NewTracks200JSONResponse{
		RequiresImmediateRenegotiation: result.Description != nil && result.Description.Type == wire.Offer,
		SessionDescription:             describe(result.Description),
		Tracks:                         make([]openapi.TrackResult, 0, len(result.Tracks)),
	}
	for i, t := range result.Tracks {
		item := openapi.TrackResult{Location: location, TrackName: string(t.TrackName)}
		if i < len(asked) {
			item = echoed(asked[i])
		}
		if t.Fault != nil {
			item.ErrorCode, item.ErrorDescription = itemFault(t.Fault)
		} else {
			item.Mid = optional(t.Mid)
			item.Kind = optional(openapi.Kind(t.Kind))
			item.BidirectionalMediaStream = optional(t.Bidirectional)
		}
		answer.Tracks = append(answer.Tracks, item)
	}
	return answer, nil
}

// echoed begins the result of a requested track with the fields by which
// clients find it, verbatim, and the wish that they made.
func echoed(t openapi.TrackRequest) openapi.TrackResult {
	item := openapi.TrackResult{Location: t.Location, TrackName: t.TrackName}
	if t.Location == openapi.Remote {
		item.SessionID, item.Simulcast = t.SessionID, echoedWish(t.Simulcast)
	}
	return item
}

// echoedWish leaves out what does not fit the API's own schema.
func echoedWish(s *openapi.Simulcast) *openapi.Simulcast {
	wish, ok := simulcast(s)
	if wish == nil || !ok {
		return nil
	}
	return &openapi.Simulcast{
		PreferredRID:     s.PreferredRID,
		PriorityOrdering: optional(openapi.Ordering(wish.PriorityOrdering)),
		RIDNotAvailable:  optional(openapi.Ordering(wish.RIDNotAvailable)),
	}
}

// failAll returns the results of a call that failed as a whole: none where the
// request could not be understood.
func failAll(tracks []openapi.TrackRequest, err error) []openapi.TrackResult {
	results := []openapi.TrackResult{}
	if len(tracks) > wire.MaxTracks || checkEntries(tracks) != nil {
		return results
	}
	f := faultOf(err)
	for _, t := range tracks {
		item := echoed(t)
		item.ErrorCode, item.ErrorDescription = itemFault(f)
		results = append(results, item)
	}
	return results
}

func itemFault(f *fault.Fault) (code, description *string) {
	sound := withStatus(f)
	return &sound.Code, &sound.Description
}
