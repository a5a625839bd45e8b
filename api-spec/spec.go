// Package apispec holds the public contracts of the system as embedded text:
// what the servers implement, what the code generators read and what the
// contract tests run against are the same bytes.
package apispec

import _ "embed"

// OpenAPI is the HTTP API, an OpenAPI 3.0.3 document in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte

// AsyncAPI is the NATS protocol between control plane and media workers, an
// AsyncAPI 3.0.0 document in YAML.
//
//go:embed asyncapi.yaml
var AsyncAPI []byte

// Errors is the catalogue of every error that a client can see, in YAML.
//
//go:embed errors.yaml
var Errors []byte
