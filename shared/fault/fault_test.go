package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/fault"
)

// TestCatalogueIsFresh fails when errors.yaml was changed and the catalogue not
// generated again.
func TestCatalogueIsFresh(t *testing.T) {
	file := filepath.Join(t.TempDir(), "catalogue.go")
	if out, err := exec.CommandContext(t.Context(), "go", "run", "./gen", "../../api-spec/errors.yaml", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("catalogue.gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run go generate ./shared/fault (-generated +committed):\n%s", diff)
	}
}

// TestGeneratorRefuses: an entry that clients could not use is not generated.
func TestGeneratorRefuses(t *testing.T) {
	const good = "- {name: A, code: a_code, status: 400, doc: d, description: D}\n"
	for name, text := range map[string]string{
		"nothing missing":  good,
		"code of a client": "- {name: A, code: A-Code, status: 400, doc: d, description: D}",
		"no description":   "- {name: A, code: a, status: 400, doc: d}",
		"no status":        "- {name: A, code: a, doc: d, description: D}",
		"twice":            good + good,
		"a misspelled key": "- {name: A, code: a, staus: 400, doc: d, description: D}",
		"not even YAML":    "{",
	} {
		dir := t.TempDir()
		from, to := filepath.Join(dir, "errors.yaml"), filepath.Join(dir, "out.go")
		if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "go", "run", "./gen", from, to).CombinedOutput()
		if (err == nil) != (text == good) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestCatalogue(t *testing.T) {
	// Clients filter codes with one of these.
	formats := []*regexp.Regexp{regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`), regexp.MustCompile(`^[a-z0-9][a-z0-9_]{0,79}$`)}
	type identity struct {
		code, subcode string
		status        int
	}
	seen := map[string]bool{}
	indistinct := map[identity][]string{}
	for _, k := range fault.Catalogue {
		for _, f := range formats {
			if !f.MatchString(k.Code) || k.Subcode != "" && !f.MatchString(k.Subcode) {
				t.Errorf("%s: code %q or subcode %q does not match %s", k.Name, k.Code, k.Subcode, f)
			}
		}
		if http.StatusText(k.Status) == "" || k.Status < 400 {
			t.Errorf("%s: status %d", k.Name, k.Status)
		}
		if !strings.HasSuffix(strings.TrimRight(k.Description, "'"), ".") {
			t.Errorf("%s: the description is no sentence: %q", k.Name, k.Description)
		}
		if seen[k.Name] {
			t.Errorf("%s is listed twice", k.Name)
		}
		seen[k.Name] = true
		id := identity{k.Code, k.Subcode, k.Status}
		indistinct[id] = append(indistinct[id], k.Name)
		if (k.Status == http.StatusTooManyRequests || k.Status == http.StatusServiceUnavailable) && k.Code != "track_error" && k.RetryAfter <= 0 {
			t.Errorf("%s: status %d without a time to retry", k.Name, k.Status)
		}
	}
	// Kind.Is tells kinds apart by what clients see. These pairs look alike to
	// clients on purpose; no code asks which of them it has.
	allowed := map[string]bool{"AppNotFound RouteNotFound": true, "TrackError RelayUnavailable": true}
	for id, names := range indistinct {
		if len(names) > 1 && !allowed[strings.Join(names, " ")] {
			t.Errorf("%v cannot be told apart: %+v", names, id)
		}
	}
}

func TestFault(t *testing.T) {
	f := fault.RateLimited.New("")
	if f.Description != fault.RateLimited.Description || f.Status != 429 || f.RetryAfterMS != 1000 {
		t.Errorf("%+v", f)
	}
	if got := fault.InvalidParams.New("%d tracks", 65).Description; got != "65 tracks" {
		t.Errorf("description %q", got)
	}
	wrapped := fmt.Errorf("push: %w", fault.HaveLocalOffer.New(""))
	if !fault.HaveLocalOffer.Is(wrapped) || fault.InvalidSessionDescription.Is(wrapped) || fault.HaveLocalOffer.Is(errors.New("x")) || fault.HaveLocalOffer.Is(nil) {
		t.Error("Is does not tell kinds apart")
	}
	if got := fault.From(wrapped); got.Subcode != "invalid_modification_have_local_offer" {
		t.Errorf("From = %+v", got)
	}
	if got := fault.From(errors.New("dial redis://:password@host")); !fault.Internal.Is(got) || strings.Contains(got.Error(), "password") {
		t.Errorf("From = %v, want Internal without detail", got)
	}
	if fault.From(nil) != nil {
		t.Error("From(nil) is a fault")
	}
}

// FuzzFault: a fault from another version's worker survives being passed on.
func FuzzFault(f *testing.F) {
	f.Add([]byte(`{"code":"session_error","status":410,"description":"gone"}`))
	f.Add([]byte(`{"code":"","retryAfterMs":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in, out fault.Fault
		if json.Unmarshal(text, &in) != nil {
			return
		}
		sent, err := json.Marshal(&in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(sent, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(in, out); diff != "" {
			t.Errorf("%s:\n%s", text, diff)
		}
	})
}
