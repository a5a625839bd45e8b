// Package spectest holds what runs against the specifications: responses of the
// HTTP API against openapi.yaml, messages of the NATS protocol against
// asyncapi.yaml, and gives the examples of both. It is for tests only.
package spectest

import (
	"context"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	apispec "switchboard/api-spec"
)

// Spec is the loaded document.
type Spec struct{ doc *openapi3.T }

// Load parses and validates the document; every example in it fits its schema.
func Load(tb testing.TB) *Spec {
	tb.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(apispec.OpenAPI)
	if err != nil {
		tb.Fatal(err)
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		tb.Fatal(err)
	}
	return &Spec{doc: doc}
}

// Example is one example of an operation: a request, and the response of the
// same name.
type Example struct {
	// Operation is the operationId, Name the example's name in it. Name is
	// empty for an operation without a body.
	Operation, Name string
	// Method and Path, with {appId} and {sessionId}, say where to send it.
	Method, Path string
	// Request is the body, nil if the operation has none.
	Request []byte
	// Status is the response's; Response is its body, one per example of that
	// status where the operation has no request body.
	Status   int
	Response []byte
}

// Examples returns every example of a successful call, in a fixed order, and
// fails where a request has no response of its name.
func (s *Spec) Examples(tb testing.TB) []Example {
	tb.Helper()
	var all []Example
	s.eachOperation(func(method, path string, op *openapi3.Operation) {
		status, success := successOf(tb, op)
		answers := success.Value.Content.Get("application/json").Examples
		for _, name := range slices.Sorted(maps.Keys(answers)) {
			x := Example{Operation: op.OperationID, Name: name, Method: method, Path: path, Status: status, Response: encode(tb, answers[name].Value.Value)}
			if op.RequestBody != nil {
				asked := op.RequestBody.Value.Content.Get("application/json").Examples[name]
				if asked == nil {
					tb.Fatalf("%s: the response example %s has no request example", op.OperationID, name)
				}
				x.Request = encode(tb, asked.Value.Value)
			}
			all = append(all, x)
		}
		if op.RequestBody != nil {
			for name := range op.RequestBody.Value.Content.Get("application/json").Examples {
				if answers[name] == nil {
					tb.Fatalf("%s: the request example %s has no response example", op.OperationID, name)
				}
			}
		}
	})
	return all
}

// ErrorExample is one documented failure of an operation.
type ErrorExample struct {
	Operation, Name string
	Method, Path    string
	// Status is 0 for the failures of the default response.
	Status int
	Body   []byte
}

// ErrorExamples returns the examples of every failure of every operation.
func (s *Spec) ErrorExamples(tb testing.TB) []ErrorExample {
	tb.Helper()
	var all []ErrorExample
	s.eachOperation(func(method, path string, op *openapi3.Operation) {
		responses := op.Responses.Map()
		for _, code := range slices.Sorted(maps.Keys(responses)) {
			if strings.HasPrefix(code, "2") {
				continue
			}
			status, _ := strconv.Atoi(code) // "default" has none
			examples := responses[code].Value.Content.Get("application/json").Examples
			for _, name := range slices.Sorted(maps.Keys(examples)) {
				all = append(all, ErrorExample{Operation: op.OperationID, Name: name, Method: method, Path: path, Status: status, Body: encode(tb, examples[name].Value.Value)})
			}
		}
	})
	return all
}

func (s *Spec) eachOperation(visit func(method, path string, op *openapi3.Operation)) {
	paths := s.doc.Paths.Map()
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		operations := paths[path].Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			visit(method, path, operations[method])
		}
	}
}

func successOf(tb testing.TB, op *openapi3.Operation) (int, *openapi3.ResponseRef) {
	tb.Helper()
	for code, response := range op.Responses.Map() {
		if strings.HasPrefix(code, "2") {
			status, err := strconv.Atoi(code)
			if err != nil {
				tb.Fatal(err)
			}
			return status, response
		}
	}
	tb.Fatalf("%s: no successful response", op.OperationID)
	return 0, nil
}

func encode(tb testing.TB, v any) []byte {
	tb.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// Check fails the test where a response breaks the document or a rule that holds
// for every response: one JSON object, its Content-Type, CORS and a request id;
// errorCode and errorDescription exactly on failures. An operation that the
// document lacks may only fail.
func (s *Spec) Check(tb testing.TB, method, path string, status int, header http.Header, body []byte) {
	tb.Helper()
	if kind, _, err := mime.ParseMediaType(header.Get("Content-Type")); err != nil || kind != "application/json" {
		tb.Errorf("%s %s: Content-Type is %q, want application/json", method, path, header.Get("Content-Type"))
	}
	for _, name := range []string{"X-Request-Id", "Access-Control-Allow-Origin", "Vary"} {
		if header.Get(name) == "" {
			tb.Errorf("%s %s: the response has no %s", method, path, name)
		}
	}
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		tb.Fatalf("%s %s: the body of status %d is not a JSON object: %q (%v)", method, path, status, body, err)
	}
	if status >= 300 && status < 400 {
		tb.Errorf("%s %s: redirected with %d", method, path, status)
	}
	for _, name := range []string{"errorCode", "errorDescription"} {
		if _, has := object[name]; has != (status >= 400) {
			tb.Errorf("%s %s: status %d with %s = %v", method, path, status, name, object[name])
		}
	}
	if err := s.schema(method, path, status).VisitJSON(object, openapi3.VisitAsResponse(), openapi3.MultiErrors()); err != nil {
		tb.Errorf("%s %s: status %d breaks the schema: %v\n%s", method, path, status, err, body)
	}
}

// schema returns what a response must fit: its own schema where documented,
// else that of errors, and any object for a preflight.
func (s *Spec) schema(method, path string, status int) *openapi3.Schema {
	op := s.operation(method, path)
	switch {
	case method == http.MethodOptions:
		return openapi3.NewObjectSchema()
	case op == nil:
		return s.doc.Components.Schemas["Error"].Value
	}
	response := op.Responses.Status(status)
	if response == nil {
		response = op.Responses.Default()
	}
	return response.Value.Content.Get("application/json").Schema.Value
}

// operation finds the operation of a request; a literal segment wins over a
// parameter.
func (s *Spec) operation(method, path string) *openapi3.Operation {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, "/v1"), "?")
	var found *openapi3.Operation
	s.eachOperation(func(m, template string, op *openapi3.Operation) {
		if m == method && (template == path || found == nil && matches(template, path)) {
			found = op
		}
	})
	return found
}

func matches(template, path string) bool {
	want, got := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i] != got[i] && !strings.HasPrefix(want[i], "{") {
			return false
		}
	}
	return true
}
