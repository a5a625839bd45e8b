package wire_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/wire"
)

// FuzzDecode: what decodes and is valid stays so when it is sent on, and means
// the same; nothing panics.
func FuzzDecode(f *testing.F) {
	names := slices.Sorted(maps.Keys(messages))
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		f.Add(byte(slices.Index(names, name)), text)
	}
	f.Fuzz(func(t *testing.T, which byte, text []byte) {
		name := names[int(which)%len(names)]
		v, err := decode(name, text)
		if err != nil {
			return
		}
		sent, err := wire.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(name, sent)
		if err != nil {
			t.Fatalf("%s: sent on as %s: %v", name, sent, err)
		}
		twice, err := wire.Encode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(sent), string(twice)); diff != "" {
			t.Errorf("%s changes when it is sent on:\n%s", name, diff)
		}
	})
}

// FuzzWorkerOfEvent: a worker id read from a subject makes that subject.
func FuzzWorkerOfEvent(f *testing.F) {
	f.Add(wire.HeartbeatSubject("fra1-5f2c9a1e"))
	f.Add(wire.ByeSubject("fra1-5f2c9a1e"))
	f.Add("sfu.v1.evt.worker..bye")
	f.Add("")
	f.Fuzz(func(t *testing.T, subject string) {
		worker, err := wire.WorkerOfEvent(subject)
		if err != nil {
			return
		}
		if strings.ContainsAny(string(worker), ".*> \x00") || worker == "" {
			t.Errorf("%q holds the worker id %q", subject, worker)
		}
	})
}
