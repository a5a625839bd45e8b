// Package netio owns the worker's client-facing sockets.
//
// A [Mux] is the [ice.UDPMux] of every ICE agent of the worker: one registry
// of ICE user fragments over one UDP socket per listen address, so that a reply
// leaves from the address that was asked. Only the Mux's loops read the
// sockets. It guarantees:
//
//   - A STUN request is delivered by the user fragment of its USERNAME, every
//     other datagram by its source address.
//   - An address is bound to an agent only when that agent writes to it: an
//     agent answers a request only after it has checked MESSAGE-INTEGRITY, so
//     strangers leave no state and cannot take over an address.
//   - Queues and tables are bounded; what does not fit is dropped and counted.
//   - Receiving, delivering and sending a datagram allocate nothing.
//   - Datagrams of one agent leave in the order in which they were written.
//     Only RTP of a burst is held back, and no longer than the burst ([Egress]).
package netio
