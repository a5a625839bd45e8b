// Package openapi holds the types of the HTTP API and the interface of its
// server, generated from api-spec/openapi.yaml. It decides nothing.
package openapi

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml ../../../../api-spec/openapi.yaml
