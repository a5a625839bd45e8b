// Package session breaks the rules of imports and sizes.
package session

import (
	"github.com/pion/webrtc/v4"

	"switchboard/controlplane"
	"switchboard/mediaworker/internal/command"
)

// Wide has too many fields.
type Wide struct {
	A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S int
	PC                                                      *webrtc.PeerConnection
	CP                                                      *controlplane.ControlPlane
	Command                                                 command.Command
}

type Undocumented struct{}

// Documented has a method without a comment.
type Documented struct{}

func (d *Documented) Method() {}
