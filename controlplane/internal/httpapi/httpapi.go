// Package httpapi is the HTTP edge of the control plane: it authenticates,
// limits, decodes, calls a use case, and encodes what came of it. The endpoints
// and their types come from api-spec/openapi.yaml.
//
// # Guarantees
//
//   - Every response, whatever its status, is one JSON object with Content-Type
//     application/json, CORS headers and X-Request-Id; only the specifications
//     are YAML. It is never a redirect and never empty. Failures have errorCode
//     and errorDescription, successes neither. What is not HTTP at all is
//     answered by net/http, before this package.
//   - A request is refused before its body is read unless its secret is one of
//     the App's. Secrets are compared in constant time and never logged.
//   - A body is read within Limits, whatever its Content-Type; unknown fields
//     and query parameters are ignored.
//   - Nothing of one call outlives it: the handler holds no state but its
//     configuration and is safe for concurrent use.
package httpapi

import (
	"context"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/calls"
	"switchboard/controlplane/internal/httpapi/openapi"
	"switchboard/shared/wire"
)

// Calls are the use cases behind the endpoints. Their errors are *fault.Fault,
// alone or wrapped, or defects of the server, which clients see as Internal.
type Calls interface {
	CreateSession(context.Context, calls.CreateSession) (calls.CreatedSession, error)
	Push(context.Context, calls.Push) (calls.TracksResult, error)
	Pull(context.Context, calls.Pull) (calls.TracksResult, error)
	Renegotiate(context.Context, wire.Renegotiate) error
	CloseTracks(context.Context, wire.TracksClose) (calls.TracksResult, error)
	Describe(context.Context, wire.SessionRef) (*wire.SessionState, error)
}

// Options is what New needs.
type Options struct {
	// Calls answers the endpoints; required.
	Calls Calls
	// Apps says whose secrets are accepted; required.
	Apps *Authenticator
	// Limits bounds requests; the zero value means DefaultLimits.
	Limits Limits
	// CORSOrigins lists the origins that browsers may call from, such as
	// "https://app.example". Empty, or "*" in the list, allows every origin:
	// calls are authorised by the secret and never by a cookie.
	CORSOrigins []string
	// Ready says whether calls can be served now; nil means always. Its error's
	// text is shown by /readyz.
	Ready func(context.Context) error
	// Version is shown by /version; empty takes the binary's build information.
	Version string
	// Log gets one line per request; nil discards.
	Log *zap.Logger
	// Pages serves every path that is not of the API; nil: such paths answer
	// RouteNotFound.
	Pages http.Handler
}

// edge implements the generated server interface, one file per API noun.
type edge struct {
	calls Calls
}

var _ openapi.StrictServerInterface = (*edge)(nil)

// New returns the handler of the whole HTTP surface: the API under /v1/apps/…
// and /apps/…, /healthz, /readyz, /version, the specifications as /openapi.yaml,
// /asyncapi.yaml and /errors.yaml, and o.Pages for the rest.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	limits := o.Limits.orDefault()
	e := echo.New()
	e.HTTPErrorHandler = answerError
	e.Binder = binder{limits: limits}
	e.IPExtractor = echo.ExtractIPDirect()
	e.Pre(identify, logAccess(o.Log), recoverPanics, allowOrigins(o.CORSOrigins), boundBody(limits))

	server := openapi.NewStrictHandler(&edge{calls: o.Calls}, nil)
	authenticate := []echo.MiddlewareFunc{o.Apps.authenticate}
	for _, base := range []string{"/v1", ""} {
		openapi.RegisterHandlersWithOptions(e, server, openapi.RegisterHandlersOptions{
			BaseURL: base,
			OperationMiddlewares: map[string][]echo.MiddlewareFunc{
				"createSession": {o.Apps.authenticate, tolerateQuery},
				"getSession":    authenticate,
				"newTracks":     authenticate,
				"renegotiate":   authenticate,
				"closeTracks":   authenticate,
			},
		})
		registerUnserved(e, base, o.Apps.authenticate)
	}
	registerProbes(e, o.Ready, o.Version)
	registerSpecs(e)

	if o.Pages == nil {
		return e
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A path that only looks like the API's is the API's too: Pages might
		// redirect it.
		if isAPI(path.Clean("/" + r.URL.Path)) {
			e.ServeHTTP(w, r)
			return
		}
		o.Pages.ServeHTTP(w, r)
	})
}

// isAPI reports whether a cleaned path belongs to this package and not to Pages.
func isAPI(cleaned string) bool {
	for _, prefix := range []string{"/v1/", "/apps/", "/turn/"} {
		if strings.HasPrefix(cleaned, prefix) {
			return true
		}
	}
	switch cleaned {
	case "/v1", "/apps", "/turn", "/healthz", "/readyz", "/version", "/openapi.yaml", "/asyncapi.yaml", "/errors.yaml":
		return true
	}
	return false
}
