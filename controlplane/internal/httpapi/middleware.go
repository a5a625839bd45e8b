package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"switchboard/shared/obs"
)

const headerRequestID = "X-Request-Id"

// identify gives the request an id, its own if it brings an acceptable one, and
// a place in a trace: the caller's, or a new one.
func identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		id := r.Header.Get(headerRequestID)
		if !isRequestID(id) {
			id = rand.Text()
		}
		c.Response().Header().Set(headerRequestID, id)
		trace, ok := obs.ParseTrace(r.Header.Get("traceparent"))
		if ok {
			trace = trace.Child()
		} else {
			trace = obs.NewTrace()
		}
		c.SetRequest(r.WithContext(obs.WithTrace(r.Context(), trace)))
		return next(c)
	}
}

// isRequestID reports whether a client's id is safe to log and to send back: 1
// to 128 of [A-Za-z0-9._-].
func isRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
		if !ok {
			return false
		}
	}
	return true
}

// logAccess writes one line per request, after its response: the only place
// where an error is logged.
func logAccess(log *zap.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			start := time.Now()
			err := next(c)
			if err != nil {
				c.Error(err) // writes the response, so that its status is known below
			}
			level := accessLevel(c, err)
			entry := log.Check(level, "request")
			if entry == nil {
				return nil
			}
			entry.Write(append(accessFields(c), zap.Duration("duration", time.Since(start)), zap.Error(err))...)
			return nil
		}
	}
}

// accessLevel is error for what the server did wrong, debug for probes, else info.
func accessLevel(c echo.Context, err error) zapcore.Level {
	switch {
	case errors.Is(err, context.Canceled):
		return zapcore.InfoLevel // the client went away
	case c.Response().Status == http.StatusInternalServerError:
		return zapcore.ErrorLevel
	case c.Response().Status > http.StatusInternalServerError && c.Response().Status != http.StatusNotImplemented:
		return zapcore.WarnLevel
	case c.Param("appId") == "" && err == nil:
		return zapcore.DebugLevel
	}
	return zapcore.InfoLevel
}

// maxLogged bounds what a client's own text takes in a log line, bytes.
const maxLogged = 256

// accessFields never holds the query, a header's value or a body: they may hold
// secrets.
func accessFields(c echo.Context) []zap.Field {
	r, w := c.Request(), c.Response()
	fields := []zap.Field{
		zap.String("method", r.Method),
		clipped("path", r.URL.Path),
		zap.Int("status", w.Status),
		zap.Int64("bytes", w.Size),
		zap.String("client", c.RealIP()),
		zap.String("requestId", w.Header().Get(headerRequestID)),
	}
	if trace, ok := obs.TraceFrom(r.Context()); ok {
		fields = append(fields, zap.String("traceId", fmt.Sprintf("%x", trace.TraceID)))
	}
	for _, name := range []string{"appId", "sessionId"} {
		if value := c.Param(name); value != "" {
			fields = append(fields, clipped(name[:len(name)-len("Id")], value))
		}
	}
	return fields
}

func clipped(key, text string) zap.Field { return zap.String(key, text[:min(len(text), maxLogged)]) }

// recoverPanics turns a panic into an Internal error with the stack in the log.
func recoverPanics(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if cause, ok := value.(error); ok && errors.Is(cause, http.ErrAbortHandler) {
				panic(value) // net/http's own way to drop a connection
			}
			err = fmt.Errorf("panic: %v (%s)", value, zap.Stack("").String)
		}()
		return next(c)
	}
}

// CORS headers (Fetch standard, section 3.3) that do not depend on the request.
const (
	corsMethods = "GET, POST, PUT, OPTIONS"
	corsHeaders = "authorization, content-type, idempotency-key, traceparent, tracestate, x-request-id"
	corsExposed = "retry-after, x-request-id"
	corsMaxAge  = "7200" // seconds, the longest that browsers keep
)

// allowOrigins lets pages of the given origins read responses, errors too, and
// answers every preflight.
func allowOrigins(origins []string) echo.MiddlewareFunc {
	every := len(origins) == 0 || slices.Contains(origins, "*")
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			header, origin := c.Response().Header(), c.Request().Header.Get("Origin")
			header.Add("Vary", "Origin")
			switch {
			case every:
				header.Set("Access-Control-Allow-Origin", "*")
			case slices.Contains(origins, origin):
				header.Set("Access-Control-Allow-Origin", origin)
			}
			header.Set("Access-Control-Expose-Headers", corsExposed)
			header.Set("Cache-Control", "no-store")
			if c.Request().Method != http.MethodOptions {
				return next(c)
			}
			header.Set("Access-Control-Allow-Methods", corsMethods)
			header.Set("Access-Control-Allow-Headers", corsHeaders)
			header.Set("Access-Control-Max-Age", corsMaxAge)
			return c.JSON(http.StatusOK, struct{}{})
		}
	}
}
