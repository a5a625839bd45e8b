package httpapi

import (
	"context"

	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/wire"
)

// Renegotiate serves PUT renegotiate.
func (e *edge) Renegotiate(ctx context.Context, r openapi.RenegotiateRequestObject) (openapi.RenegotiateResponseObject, error) {
	ref, err := sessionRef(r.AppID, r.SessionID)
	if err != nil {
		return nil, err
	}
	answer, err := description(&r.Body.SessionDescription, wire.Answer)
	if err != nil {
		return nil, err
	}
	if err := e.calls.Renegotiate(ctx, wire.Renegotiate{SessionRef: ref, SessionDescription: *answer}); err != nil {
		return nil, err
	}
	return openapi.Renegotiate200JSONResponse{}, nil
}
