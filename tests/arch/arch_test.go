package arch

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTree holds the whole source tree against every rule.
func TestTree(t *testing.T) {
	source := load(t, "../..")
	if len(source.files) < 20 {
		t.Fatalf("only %d Go files found", len(source.files))
	}
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		t.Run(name, func(t *testing.T) {
			for _, failure := range checks[name](source) {
				t.Error(failure)
			}
		})
	}
}

// TestChecksFindMistakes holds a tree with one mistake of each kind against the
// rules, so that a check that sees nothing is noticed.
func TestChecksFindMistakes(t *testing.T) {
	source := load(t, "testdata/mistakes")
	var found []string
	for _, name := range slices.Sorted(maps.Keys(checks)) {
		failures := checks[name](source)
		if len(failures) == 0 {
			t.Errorf("check %q finds nothing in testdata/mistakes", name)
		}
		slices.Sort(failures)
		for _, failure := range failures {
			found = append(found, name+": "+failure)
		}
	}
	const golden = "testdata/mistakes.txt"
	got := strings.Join(found, "\n") + "\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("UPDATE_GOLDEN=1 accepts this change:\n%s", diff)
	}
}

func TestWithin(t *testing.T) {
	for _, tc := range []struct {
		folder, of string
		want       bool
	}{
		{"a/b", "a/b", true}, {"a/b/c", "a/b", true}, {"a/bc", "a/b", false},
		{"a", "a/*", true}, {"a/b", "a/*", false},
	} {
		if got := within(tc.folder, tc.of); got != tc.want {
			t.Errorf("within(%q, %q) = %t", tc.folder, tc.of, got)
		}
	}
}
