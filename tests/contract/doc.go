// Package contract holds the whole running system (NATS, Redis, control plane
// and media worker in one process) against api-spec/openapi.yaml: every example
// of the specification is sent with the SDP of a real client, every response is
// checked against its schema, and every kind of bad input gets its documented
// answer and leaves the session working.
package contract
