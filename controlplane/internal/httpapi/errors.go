package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/fault"
)

// batchError is the failure of a whole call over tracks, with the result of
// each: clients look for their entry before they look at the error.
type batchError struct {
	error
	tracks []openapi.TrackResult
}

// Unwrap gives the failure itself.
func (b *batchError) Unwrap() error { return b.error }

// answerError writes the error body of a failed request. It is echo's
// HTTPErrorHandler; the access log, not this, records the error.
func answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := faultOf(err)
	if f.RetryAfterMS > 0 {
		seconds := (time.Duration(f.RetryAfterMS)*time.Millisecond + time.Second - 1) / time.Second
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	body := openapi.Error{ErrorCode: f.Code, ErrorDescription: f.Description, Tracks: failedTracks(err, c)}
	if f.Subcode != "" {
		body.ErrorSubcode = &f.Subcode
	}
	// A write fails only when the client is gone: nobody is left to tell.
	_ = c.JSON(f.Status, body)
}

// failedTracks returns the error body's tracks: never absent where the call is
// one over tracks, because clients refuse an answer without it.
func failedTracks(err error, c echo.Context) *[]openapi.TrackResult {
	var batch *batchError
	if errors.As(err, &batch) {
		return &batch.tracks
	}
	if path := c.Path(); strings.HasSuffix(path, "/tracks/new") || strings.HasSuffix(path, "/tracks/close") {
		return &[]openapi.TrackResult{}
	}
	return nil
}

// faultOf says what a client is told of err. It always has a Status of an error.
func faultOf(err error) *fault.Fault {
	var f *fault.Fault
	var routing *echo.HTTPError
	switch {
	case errors.As(err, &f):
		return withStatus(f)
	case errors.As(err, &routing):
		return routingFault(routing)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Timeout.New("")
	}
	return fault.Internal.New("")
}

// withStatus guards against a fault from a worker of another version whose
// status is no HTTP error.
func withStatus(f *fault.Fault) *fault.Fault {
	if f.Status >= 400 && f.Status <= 599 && f.Code != "" && f.Description != "" {
		return f
	}
	sound := *f
	if sound.Status < 400 || sound.Status > 599 {
		sound.Status = fault.Internal.Status
	}
	if sound.Code == "" {
		sound.Code = fault.Internal.Code
	}
	if sound.Description == "" {
		sound.Description = fault.Internal.Description
	}
	return &sound
}

// routingFault translates what echo's router and the generated parameter
// binding say.
func routingFault(err *echo.HTTPError) *fault.Fault {
	switch err.Code {
	case http.StatusNotFound:
		return fault.RouteNotFound.New("")
	case http.StatusMethodNotAllowed:
		return fault.MethodNotAllowed.New("")
	case http.StatusBadRequest:
		if text, ok := err.Message.(string); ok {
			return fault.InvalidParams.New("%s.", text)
		}
		return fault.InvalidParams.New("")
	}
	return fault.Internal.New("")
}
