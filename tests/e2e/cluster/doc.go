// Package cluster runs a whole Switchboard for tests: control planes, media
// workers, NATS and Redis, in one process or as separate ones, and breaks them
// on demand.
//
// In one process the tiers are the real ones over an embedded nats-server and
// either the Redis stand-in or a real redis-server. As processes they are the
// two binaries over a real nats-server and a real redis-server. Everything
// listens on free ports of 127.0.0.1 and ends with Close; a child dies with
// this process, whatever ends it.
package cluster
