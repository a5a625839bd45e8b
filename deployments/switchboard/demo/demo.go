// Package demo serves the pages of the one-process shape: a landing page and
// an echo test that explains each of its steps.
//
// The pages hold the App's secret, so that they can call the API from the
// browser. They are for development only and no production binary imports them.
package demo

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed pages static
var content embed.FS

// Options is what the pages show and call.
type Options struct {
	AppID     string
	AppSecret string
	// APIBaseURL is the API's base with "/v1"; empty means that the API is
	// served beside the pages.
	APIBaseURL string
}

// page is what the templates see.
type page struct {
	Options
	// Call is the base that the browser calls, Show the one that people copy,
	// Root where the server's other files are.
	Call, Show, Root string
}

// Handler serves "/", "/demo/echo" and the files they load. It is safe for
// concurrent use.
func Handler(o Options) (http.Handler, error) {
	templates, err := template.ParseFS(content, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("demo pages: %w", err)
	}
	static, err := fs.Sub(content, "static")
	if err != nil {
		return nil, fmt.Errorf("demo pages: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", render(templates.Lookup("index.html"), o))
	mux.Handle("GET /demo/echo", render(templates.Lookup("echo.html"), o))
	mux.Handle("GET /demo/static/", http.StripPrefix("/demo/static/", http.FileServerFS(static)))
	return protect(mux, o.APIBaseURL), nil
}

// render answers with a page made for this request.
func render(t *template.Template, o Options) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := page{Options: o, Call: o.APIBaseURL, Show: o.APIBaseURL}
		if o.APIBaseURL == "" {
			p.Call, p.Show = "/v1", "http://"+r.Host+"/v1"
		}
		p.Root = strings.TrimSuffix(p.Show, "/v1")
		var b bytes.Buffer
		if err := t.Execute(&b, p); err != nil {
			http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes()) // the browser may have left
	})
}

// protect keeps other sites from framing the pages, and the pages from loading
// anything from elsewhere but the API. Nothing is cached: a restart may change
// everything.
func protect(next http.Handler, api string) http.Handler {
	policy := "default-src 'self'; connect-src 'self' " + api + "; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
