package wire_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/api-spec/spectest"
	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

var update = flag.Bool("update", false, "rewrite the golden messages in the form in which they are sent")

// messages maps the name of a message in asyncapi.yaml, which is also the
// beginning of its golden files' names, to a fresh value of its Go type.
var messages = map[string]func() any{
	"create":        func() any { return &wire.Create{} },
	"tracksNew":     func() any { return &wire.TracksNew{} },
	"tracksClose":   func() any { return &wire.TracksClose{} },
	"renegotiate":   func() any { return &wire.Renegotiate{} },
	"get":           func() any { return &wire.Get{} },
	"close":         func() any { return &wire.Close{} },
	"reply":         func() any { return &wire.Reply{} },
	"sessionState":  func() any { return &wire.SessionState{} },
	"fault":         func() any { return &fault.Fault{} },
	"locate":        func() any { return &wire.Locate{} },
	"located":       func() any { return &wire.Located{} },
	"workersNotice": func() any { return &wire.WorkersNotice{} },
	"heartbeat":     func() any { return &wire.Heartbeat{} },
	"bye":           func() any { return &wire.Bye{} },
	"renew":         func() any { return &wire.Renew{} },
	"renewReply":    func() any { return &wire.RenewReply{} },
	"announce":      func() any { return &wire.Announce{} },
	"announceReply": func() any { return &wire.AnnounceReply{} },
	"drain":         func() any { return &wire.Drain{} },
	"snapshot":      func() any { return &wire.Snapshot{} },
}

// decode reads text as the named message, checking what the message checks.
func decode(name string, text []byte) (any, error) {
	v := messages[name]()
	if m, ok := v.(wire.Message); ok {
		return v, wire.Decode(text, m)
	}
	return v, json.Unmarshal(text, v)
}

// TestGoldenMessages holds every golden message against its Go type, which must
// write it back byte for byte, and against its schema in asyncapi.yaml.
func TestGoldenMessages(t *testing.T) {
	spec := spectest.LoadAsync(t)
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		seen[name] = true
		t.Run(filepath.Base(file), func(t *testing.T) {
			if messages[name] == nil {
				t.Fatalf("no message is named %s", name)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			v, err := decode(name, text)
			if err != nil {
				t.Fatal(err)
			}
			sent, err := wire.Encode(v)
			if err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if err := json.Indent(&again, sent, "", "  "); err != nil {
				t.Fatal(err)
			}
			again.WriteByte('\n')
			if *update {
				if err := os.WriteFile(file, again.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				text = again.Bytes()
			}
			if diff := cmp.Diff(string(text), again.String()); diff != "" {
				t.Errorf("written back (-golden +sent):\n%s", diff)
			}
			spec.Check(t, name, text)
		})
	}
	for name := range messages {
		if !seen[name] {
			t.Errorf("%s has no golden message in testdata", name)
		}
	}
}

// TestSpecExamples holds the examples of asyncapi.yaml against its schemas and
// the Go types, and demands one of every message.
func TestSpecExamples(t *testing.T) {
	spec := spectest.LoadAsync(t)
	documented := map[string]bool{}
	for _, name := range spec.Messages() {
		documented[name] = true
		examples := spec.Examples(t, name)
		if len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, text := range examples {
			spec.Check(t, name, text)
			if name == "snapshotRequest" {
				continue // a request whose body is not read has no Go type
			}
			if messages[name] == nil {
				t.Errorf("asyncapi.yaml has the message %s and the Go code has not", name)
			} else if _, err := decode(name, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for name := range messages {
		if !documented[name] {
			t.Errorf("asyncapi.yaml lacks the message %s", name)
		}
	}
}

// TestSchemasHaveTheFieldsOfTheTypes fails when a field is added on one side
// only, or is optional on one side only.
func TestSchemasHaveTheFieldsOfTheTypes(t *testing.T) {
	spec := spectest.LoadAsync(t)
	checked := map[string]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		if checked[typ.Name()] {
			return
		}
		checked[typ.Name()] = true
		fields := map[string]bool{}
		collect(typ, fields, visit)
		want := spec.Properties(typ.Name())
		if want == nil {
			t.Errorf("asyncapi.yaml lacks the schema %s", typ.Name())
			return
		}
		if diff := cmp.Diff(want, fields); diff != "" {
			t.Errorf("%s: fields and whether they are always sent (-schema +Go):\n%s", typ.Name(), diff)
		}
	}
	for _, fresh := range messages {
		visit(reflect.TypeOf(fresh()))
	}
}

// collect notes the JSON fields of typ, embedded ones included, and whether each
// is always sent.
func collect(typ reflect.Type, fields map[string]bool, visit func(reflect.Type)) {
	for field := range fieldsOf(typ) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			collect(field.Type, fields, visit)
			continue
		}
		fields[name] = options != "omitempty"
		visit(field.Type)
	}
}

func fieldsOf(typ reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range typ.NumField() {
			if !yield(typ.Field(i)) {
				return
			}
		}
	}
}

// TestSpecSubjects holds the subjects of asyncapi.yaml against the Go code.
func TestSpecSubjects(t *testing.T) {
	want := map[string]bool{
		wire.SubjectLocate: true, wire.SubjectWorkers: true, wire.SubjectDirectoryRenew: true, wire.SubjectDirectoryAnnounce: true,
		wire.HeartbeatSubject("{worker}"): true, wire.ByeSubject("{worker}"): true,
		wire.ControlSubject("{worker}", "drain"): true, wire.ControlSubject("{worker}", "snapshot"): true,
	}
	for _, op := range wire.Operations {
		want[wire.WorkerSubject("{worker}", op)] = true
	}
	if diff := cmp.Diff(want, spectest.LoadAsync(t).Subjects()); diff != "" {
		t.Errorf("subjects (-Go +asyncapi.yaml):\n%s", diff)
	}
}
