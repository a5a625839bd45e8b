package httpapi

import (
	"context"
	"net/http"
	"runtime"
	"runtime/debug"

	"github.com/labstack/echo/v4"

	apispec "switchboard/api-spec"
	"switchboard/shared/fault"
)

type status struct {
	Status string `json:"status"`
}

type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
}

// registerProbes serves /healthz (the process answers), /readyz (calls can be
// served) and /version.
func registerProbes(e *echo.Echo, ready func(context.Context) error, name string) {
	probe := []string{http.MethodGet, http.MethodHead}
	e.Match(probe, "/healthz", func(c echo.Context) error {
		return c.JSON(http.StatusOK, status{Status: "ok"})
	})
	e.Match(probe, "/readyz", func(c echo.Context) error {
		if ready != nil {
			if err := ready(c.Request().Context()); err != nil {
				return fault.NotReady.New("Not ready: %v.", err)
			}
		}
		return c.JSON(http.StatusOK, status{Status: "ready"})
	})
	v := build(name)
	e.GET("/version", func(c echo.Context) error { return c.JSON(http.StatusOK, v) })
}

func build(name string) version {
	v := version{Version: name, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if v.Version == "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	return v
}

// registerSpecs serves the public contracts, the very text that the server was
// built from.
func registerSpecs(e *echo.Echo) {
	for path, text := range map[string][]byte{
		"/openapi.yaml":  apispec.OpenAPI,
		"/asyncapi.yaml": apispec.AsyncAPI,
		"/errors.yaml":   apispec.Errors,
	} {
		e.GET(path, func(c echo.Context) error { return c.Blob(http.StatusOK, "application/yaml", text) })
	}
}
