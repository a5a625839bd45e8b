// Package standin starts the two servers that Switchboard needs inside the
// calling process: the real nats-server, and a stand-in for Redis.
//
// Both are for development and tests on one machine. The NATS server is the
// same code as in production, without a cluster or accounts. The Redis stand-in
// runs the same Lua scripts and expires keys by the wall clock, but keeps
// nothing on disk and is slower than Redis by a factor of three to ten: never
// use it to serve users.
package standin
