// Package peer wraps one PeerConnection: ICE, DTLS, SRTP and the negotiation
// of its media sections. It is the only package that imports pion/webrtc.
//
// pion never sees the client's mids. Each media line has a name of its own
// inside pion (m0, m1, ...) that outlives the mid on the wire, so that an ended
// line can be used again under a new mid, by the client or by us, without a
// leftover; directions on the wire follow what the session wants, whatever pion
// thinks. Packets are told apart by the SSRCs, mids and rids of the client's
// description, not by pion: its receivers read nothing and cost nothing.
//
// Guarantees:
//
//   - An offer of ours is not applied before its answer is there; then both are
//     applied together. A peer is never left in a half-done negotiation by a
//     client that does not answer.
//   - Every description is validated before pion sees it. When pion fails all
//     the same the error says so (ErrWedged) and the peer must be replaced.
//   - A Peer owns its forward.Leg and closes it.
//
// The negotiation methods of a Peer (Answer, Offer, Accept, Withdraw, Verdict) are
// for one goroutine at a time, its session's; all others may be called from
// anywhere.
package peer
