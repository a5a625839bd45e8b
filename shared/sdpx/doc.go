// Package sdpx reads, judges and edits session descriptions (RFC 8866, used
// as in RFC 8829) at the edge between clients and pion/webrtc.
//
//   - [Parse] turns text into a read model, whatever its line ends, and refuses
//     oversized or malformed text cheaply.
//   - [ValidateOffer] and [ValidateAnswer] refuse whatever pion/webrtc would
//     refuse, or would be left half-way by, before pion sees it: pion cannot
//     roll back.
//   - [WireOffer] and [WireAnswer] edit the copy of pion's description that
//     goes to the client. pion itself always gets its own bytes back.
//
// The package is pure: no clock, socket, goroutine or logger. All functions
// are safe for concurrent use; the values they return belong to the caller.
package sdpx
