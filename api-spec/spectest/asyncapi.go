package spectest

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	apispec "switchboard/api-spec"
)

// Async is the loaded asyncapi.yaml.
type Async struct {
	document map[string]any
	compiler *jsonschema.Compiler
}

// LoadAsync parses the document and compiles the schema of every message.
func LoadAsync(tb testing.TB) *Async {
	tb.Helper()
	var parsed map[string]any
	if err := yaml.Unmarshal(apispec.AsyncAPI, &parsed); err != nil {
		tb.Fatal(err)
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(encode(tb, parsed)))
	if err != nil {
		tb.Fatal(err)
	}
	document, ok := resource.(map[string]any)
	if !ok {
		tb.Fatal("asyncapi.yaml is not an object")
	}
	a := &Async{document: document, compiler: jsonschema.NewCompiler()}
	a.compiler.DefaultDraft(jsonschema.Draft7) // AsyncAPI 3.0 schema objects are a superset of it
	if err := a.compiler.AddResource("asyncapi.json", resource); err != nil {
		tb.Fatal(err)
	}
	for _, name := range a.Messages() {
		if _, err := a.compiler.Compile(payloadOf(name)); err != nil {
			tb.Fatal(err)
		}
	}
	return a
}

func payloadOf(message string) string {
	return "asyncapi.json#/components/messages/" + message + "/payload"
}

// Messages returns the names of all messages, sorted.
func (a *Async) Messages() []string {
	return slices.Sorted(maps.Keys(asObject(a.component("messages"))))
}

// Examples returns the payloads of a message's examples.
func (a *Async) Examples(tb testing.TB, message string) [][]byte {
	tb.Helper()
	var all [][]byte
	list, _ := asObject(asObject(a.component("messages"))[message])["examples"].([]any)
	for _, example := range list {
		all = append(all, encode(tb, asObject(example)["payload"]))
	}
	return all
}

// Properties returns the properties of a schema and whether each is required;
// nil where there is no such schema.
func (a *Async) Properties(schema string) map[string]bool {
	found, ok := asObject(a.component("schemas"))[schema].(map[string]any)
	if !ok {
		return nil
	}
	required, _ := found["required"].([]any)
	properties := map[string]bool{}
	for name := range asObject(found["properties"]) {
		properties[name] = slices.Contains(required, any(name))
	}
	return properties
}

// Subjects returns the addresses of all channels that have one.
func (a *Async) Subjects() map[string]bool {
	subjects := map[string]bool{}
	for _, channel := range asObject(a.document["channels"]) {
		if address, ok := asObject(channel)["address"].(string); ok {
			subjects[address] = true
		}
	}
	return subjects
}

// Check fails the test where a payload breaks the schema of its message.
func (a *Async) Check(tb testing.TB, message string, payload []byte) {
	tb.Helper()
	schema, err := a.compiler.Compile(payloadOf(message))
	if err != nil {
		tb.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err != nil {
		tb.Fatalf("%s is not JSON: %v: %q", message, err, payload)
	}
	if err := schema.Validate(value); err != nil {
		tb.Errorf("%s breaks its schema: %v\n%s", message, err, payload)
	}
}

func (a *Async) component(kind string) any { return asObject(a.document["components"])[kind] }

func asObject(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}
