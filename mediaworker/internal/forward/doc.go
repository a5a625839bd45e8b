// Package forward moves packets from publishers to subscribers. It owns the
// goroutines and decides nothing: which layer, which number, when to ask for a
// packet or a keyframe is decided by packages layer, munge, nack and keyframe.
//
// # Flow
//
// A peer's SRTP read loop hands each decrypted packet to the Leg's buffer,
// which copies it once into a pooled packet.Packet and queues it with its
// layer. One goroutine per layer takes everything queued as one burst, so that
// a lone packet never waits and a busy layer works in bursts; it numbers the
// packets, looks for losses, fills the cache, and sends the burst to one sink
// after the other.
//
// # Guarantees
//
// Per packet nothing is allocated, logged or locked between subscribers. A
// subscriber whose writer blocks or panics loses its own packets only. Nothing
// is forwarded twice, sequence numbers have no holes but those of the
// publisher, and no (SSRC, sequence number) is sent with two contents. Payloads
// are opaque but for the codec's descriptor and first bytes. Every goroutine
// and timer ends with Close of the Leg or the Publication that owns it.
package forward
