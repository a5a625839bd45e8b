package wire

import "switchboard/shared/ids"

// Direction says which way a track goes, seen from the client.
type Direction string

// The directions.
const (
	DirectionPush Direction = "push"
	DirectionPull Direction = "pull"
)

// TrackStatus says whether a track is attached; it does not say that packets flow.
type TrackStatus string

// The statuses of a track.
const (
	StatusActive   TrackStatus = "active"
	StatusInactive TrackStatus = "inactive"
)

// ConnectionState is the state of a session's transport.
type ConnectionState string

// The states of a session's transport.
const (
	ConnectionNew          ConnectionState = "new"
	ConnectionConnecting   ConnectionState = "connecting"
	ConnectionConnected    ConnectionState = "connected"
	ConnectionDisconnected ConnectionState = "disconnected"
	ConnectionFailed       ConnectionState = "failed"
)

// SessionState answers Get.
type SessionState struct {
	SessionRef
	Rev        uint64          `json:"rev"`
	Worker     ids.WorkerID    `json:"worker"`
	Connection ConnectionState `json:"connection"`
	// Verdict says in one sentence why the session is not connected, or is empty.
	Verdict string       `json:"verdict,omitempty"`
	Tracks  []TrackState `json:"tracks"`
	Usage   Usage        `json:"usage"`
}

// TrackState is one track of a session.
type TrackState struct {
	Direction Direction     `json:"direction"`
	Mid       string        `json:"mid"`
	TrackName ids.TrackName `json:"trackName"`
	// Session is the publisher, for pulls.
	Session ids.SessionID `json:"session,omitempty"`
	Kind    Kind          `json:"kind"`
	Status  TrackStatus   `json:"status"`
	Usage   Usage         `json:"usage"`
	// Layers holds the counters of each simulcast layer; one layer without a
	// rid for a plain track.
	Layers []LayerState `json:"layers,omitempty"`
}

// LayerState is one layer of a track.
type LayerState struct {
	RID   string `json:"rid,omitempty"`
	Usage Usage  `json:"usage"`
}

// Usage counts RTP since the object began. Bytes are those of RTP packets
// (header and payload, RFC 3550 section 5.1), without SRTP, UDP and IP.
// Ingress is what clients sent to the SFU, egress what the SFU sent to clients,
// retransmissions included.
type Usage struct {
	IngressPackets uint64 `json:"ingressPackets"`
	IngressBytes   uint64 `json:"ingressBytes"`
	EgressPackets  uint64 `json:"egressPackets"`
	EgressBytes    uint64 `json:"egressBytes"`
}

// WorkerState says whether a worker takes new sessions.
type WorkerState string

// The states of a worker.
const (
	WorkerServing  WorkerState = "serving"
	WorkerDraining WorkerState = "draining"
)

// Heartbeat is published by a worker once a second. A control plane judges it
// by the time of receipt, never by a clock of the sender.
type Heartbeat struct {
	Worker ids.WorkerID `json:"worker"`
	// Label is the operator's name for the worker; it survives restarts.
	Label  string      `json:"label"`
	Region string      `json:"region,omitempty"`
	State  WorkerState `json:"state"`
	// Sessions, Publications and Subscriptions count what the worker holds.
	Sessions      int `json:"sessions"`
	Publications  int `json:"publications"`
	Subscriptions int `json:"subscriptions"`
	// MaxSessions is the worker's capacity; 0 means no limit.
	MaxSessions int `json:"maxSessions,omitempty"`
	// AppSessions counts the sessions of the worker's largest Apps, at most
	// MaxHeartbeatApps of them: placement widens an App's shard by it.
	AppSessions map[ids.AppID]int `json:"appSessions,omitempty"`
	// CPU is the share of the worker's processors in use, 0 to 1.
	CPU float64 `json:"cpu"`
	// MediaAddresses are the advertised "host:port" of the client-facing sockets.
	MediaAddresses []string `json:"mediaAddresses"`
	// Usage is the worker's total since its start.
	Usage Usage `json:"usage"`
}

// MaxHeartbeatApps is the most Apps that one Heartbeat counts.
const MaxHeartbeatApps = 32

// Bye is a worker's last message: it takes no more commands.
type Bye struct {
	Worker ids.WorkerID `json:"worker"`
	Reason string       `json:"reason"`
}

// WorkersNotice is heard by every worker.
type WorkersNotice struct {
	// Heartbeat asks for a heartbeat at once: a control plane has started.
	Heartbeat bool `json:"heartbeat,omitempty"`
	// Announce asks for every session to be announced to the directory.
	Announce bool `json:"announce,omitempty"`
}

// Locate asks which worker holds a session.
type Locate struct{ SessionRef }

// Located is a holder's answer.
type Located struct {
	SessionRef
	Worker ids.WorkerID `json:"worker"`
	Rev    uint64       `json:"rev"`
}

// MaxLeases is the most sessions that one Renew or Announce may hold.
const MaxLeases = 200

// Renew extends the leases of up to MaxLeases sessions of a worker.
type Renew struct {
	Worker   ids.WorkerID `json:"worker"`
	Sessions []Lease      `json:"sessions"`
}

// Lease is one session as its worker knows it.
type Lease struct {
	SessionRef
	Rev uint64 `json:"rev"`
}

// RenewReply says what the directory lacks.
type RenewReply struct {
	// Announce lists sessions that the directory does not hold, or holds with a
	// lower rev: the worker announces them.
	Announce []ids.SessionID `json:"announce,omitempty"`
	// Fenced lists sessions that another worker owns: this worker closes them.
	Fenced []ids.SessionID `json:"fenced,omitempty"`
}

// Announce restores up to MaxLeases sessions in the directory.
type Announce struct {
	Worker   ids.WorkerID   `json:"worker"`
	Sessions []Announcement `json:"sessions"`
}

// Announcement is one session with all that the directory keeps of it.
type Announcement struct {
	Lease
	Publications []Publication `json:"publications,omitempty"`
}

// AnnounceReply lists what could not be restored.
type AnnounceReply struct {
	// Fenced lists sessions that another worker owns: this worker closes them.
	Fenced []ids.SessionID `json:"fenced,omitempty"`
}

// Drain tells a worker to take no new sessions and to stop when the last one
// ended or the deadline passed.
type Drain struct {
	// DeadlineMS is the longest wait, ms; 0 waits for ever.
	DeadlineMS int64 `json:"deadlineMs,omitempty"`
}

// Snapshot answers the operator's "snapshot" command.
type Snapshot struct {
	Heartbeat Heartbeat `json:"heartbeat"`
	// Apps is each App's total since the worker's start, ended sessions included.
	Apps map[ids.AppID]Usage `json:"apps"`
	// Sessions counts the sessions held, per App.
	Sessions map[ids.AppID]int `json:"sessions"`
}
