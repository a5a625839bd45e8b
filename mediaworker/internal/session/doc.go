// Package session is the actor behind one client's session: what the client
// publishes and pulls, and the negotiation of it. Each operation has a file.
//
// A session owns its desired state (mids, publications, subscriptions); the
// peer under it is replaceable. A fresh peer takes over when the client has
// dropped its transport (its offer's bundle starts with another section, or it
// restarts ICE), when a first offer of ours is not answered, and when pion
// refuses what the validator accepted. Publications then change their source
// and subscribers see nothing of it.
//
// Guarantees:
//
//   - Commands of a session are executed one at a time; a pull that waits for
//     its publisher holds none of them up.
//   - A command that is sent again has one effect and one outcome.
//   - A description that is refused changes nothing, and a pull that fails
//     leaves nothing behind.
//   - The end of a peer is not the end of its session; a session ends when it
//     is closed, fenced, or without a transport for too long.
//   - A panic ends its own session only. Every goroutine has ended when
//     Registry.Close returns.
package session
