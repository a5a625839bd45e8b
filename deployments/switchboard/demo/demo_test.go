package demo_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"switchboard/deployments/switchboard/demo"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	handler, err := demo.Handler(demo.Options{AppID: "an-app", AppSecret: `s"<ecret`})
	if err != nil {
		t.Fatal(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:99"+path, nil))
	return answer
}

func TestPagesHoldTheAppAndEscapeIt(t *testing.T) {
	for path, want := range map[string]string{
		"/":          "http://127.0.0.1:99/v1/apps/an-app/sessions/new",
		"/demo/echo": `data-api="/v1/apps/an-app" data-secret="s&#34;&lt;ecret"`,
	} {
		answer := get(t, path)
		if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), want) {
			t.Errorf("GET %s: %d without %q:\n%s", path, answer.Code, want, answer.Body)
		}
		if got := answer.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'self'") {
			t.Errorf("GET %s: policy %q", path, got)
		}
	}
}

func TestEveryStaticFileIsServedWithItsType(t *testing.T) {
	types := map[string]string{".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
	files, err := fs.Glob(os.DirFS("static"), "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		answer := get(t, "/demo/static/"+name)
		want := types[name[strings.LastIndex(name, "."):]]
		if got := answer.Header().Get("Content-Type"); answer.Code != http.StatusOK || want == "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %d as %q, want %q", name, answer.Code, got, want)
		}
	}
}

func TestOtherPathsAreNotFound(t *testing.T) {
	for _, path := range []string{"/nothing", "/demo", "/demo/static/../pages/echo.html"} {
		if answer := get(t, path); answer.Code == http.StatusOK {
			t.Errorf("GET %s: 200", path)
		}
	}
}
