// Package testkit starts what tests of the tiers need: an embedded NATS server,
// a stand-in for Redis, a check for leaked goroutines, and Worker, a scripted
// media worker that speaks the NATS protocol without any media.
//
// Everything listens on loopback or not at all and is stopped by the test's
// cleanup, in reverse order of its start.
package testkit

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"switchboard/shared/standin"
)

// NATSServer starts a nats-server of its own for the test, for in-process
// connections only.
func NATSServer(tb testing.TB) *standin.NATS {
	tb.Helper()
	server, err := standin.StartNATS(standin.NATSOptions{})
	if err != nil {
		tb.Fatalf("start nats-server: %v", err)
	}
	tb.Cleanup(server.Close)
	return server
}

// Eventually polls until ok, for what other goroutines and processes do. It
// fails the test after 20 s; what then completes "did not happen: ".
func Eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	poll, deadline := time.NewTicker(2*time.Millisecond), time.After(20*time.Second)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline:
			tb.Fatalf("did not happen: %s", what)
		}
	}
}

// Connect returns one more connection to server, closed with the test.
func Connect(tb testing.TB, server *standin.NATS, name string) *nats.Conn {
	tb.Helper()
	nc, err := server.Connect(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// NATS returns a connection to a nats-server that the test has to itself.
func NATS(tb testing.TB) *nats.Conn {
	tb.Helper()
	return Connect(tb, NATSServer(tb), tb.Name())
}

// RedisServer starts a stand-in for Redis of its own for the test.
func RedisServer(tb testing.TB) *standin.Redis {
	tb.Helper()
	server, err := standin.StartRedis()
	if err != nil {
		tb.Fatalf("start the Redis stand-in: %v", err)
	}
	tb.Cleanup(server.Close)
	return server
}

// Redis returns a client of a Redis stand-in that the test has to itself.
func Redis(tb testing.TB) *redis.Client {
	tb.Helper()
	return RedisClient(tb, RedisServer(tb).Addr())
}

// RedisClient returns a client of the Redis at addr, "host:port", closed with
// the test.
func RedisClient(tb testing.TB, addr string) *redis.Client {
	tb.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// NoLeaks fails the test when goroutines that it started outlive its cleanups.
// Call it first. Not for parallel tests, which see each other's goroutines.
func NoLeaks(tb testing.TB) {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		tb.Helper()
		goleak.VerifyNone(tb, before)
	})
}

// Main runs a package's tests and fails when goroutines outlive all of them.
// For use in TestMain.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }
