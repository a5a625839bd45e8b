// Package peer is the only one that imports pion/webrtc.
package peer
