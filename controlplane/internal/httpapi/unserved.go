package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"switchboard/shared/fault"
)

// unserved lists the endpoints of the compatible API that this server does not
// serve. They say so instead of looking like a mistyped path.
var unserved = []struct{ method, path string }{
	{http.MethodPut, "/apps/:appId/sessions/:sessionId/tracks/update"},
	{http.MethodPost, "/apps/:appId/sessions/:sessionId/datachannels/establish"},
	{http.MethodPost, "/apps/:appId/sessions/:sessionId/datachannels/new"},
	{http.MethodPut, "/apps/:appId/sessions/:sessionId/datachannels/update"},
	{http.MethodPut, "/apps/:appId/sessions/:sessionId/datachannels/close"},
	{http.MethodPost, "/apps/:appId/adapters/websocket/new"},
	{http.MethodPost, "/apps/:appId/adapters/websocket/close"},
	// The key of a TURN path is not an App: nothing to authenticate against.
	{http.MethodPost, "/turn/keys/:keyId/credentials/generate"},
	{http.MethodPost, "/turn/keys/:keyId/credentials/generate-ice-servers"},
	{http.MethodPost, "/turn/keys/:keyId/credentials/:username/revoke"},
}

func registerUnserved(e *echo.Echo, base string, authenticate echo.MiddlewareFunc) {
	refuse := func(echo.Context) error { return fault.NotImplementedHere.New("") }
	for _, u := range unserved {
		if u.path[:len("/apps/")] == "/apps/" {
			e.Add(u.method, base+u.path, refuse, authenticate)
		} else {
			e.Add(u.method, base+u.path, refuse)
		}
	}
}
