// Package rtcclient is a WebRTC client for tests and benchmarks: it pushes
// synthetic media and accounts for every packet that it pulls.
//
// A Source makes packets that are shaped like VP8 and Opus and carry a number,
// so that a receiver knows of each single packet whether it arrived, once, in
// order and unchanged. A Client is one PeerConnection and one session of the
// HTTP API. An Inbound is what came in on one section.
//
// All types are safe for concurrent use. Close of a Client stops every
// goroutine it started. Nothing sleeps: waits end with their context.
package rtcclient
