package wire

import (
	"strings"

	"switchboard/shared/ids"
)

// Operation is the last token of a session command's subject.
type Operation string

// The session operations of version 1.
const (
	OpCreate      Operation = "create"
	OpTracksNew   Operation = "tracks-new"
	OpTracksClose Operation = "tracks-close"
	OpRenegotiate Operation = "renegotiate"
	OpGet         Operation = "get"
	OpClose       Operation = "close"
)

// Operations lists every session operation.
var Operations = []Operation{OpCreate, OpTracksNew, OpTracksClose, OpRenegotiate, OpGet, OpClose}

// Header names of a command.
const (
	HeaderCommandID   = "Sfu-Cmd-Id"
	HeaderBudget      = "Sfu-Budget-Ms"
	HeaderContentType = "Content-Type"
	HeaderTrace       = "traceparent"
	ContentTypeJSON   = "application/json"
)

const prefix = "sfu.v1."

// Subjects that are not of one worker.
const (
	// SubjectLocate asks all workers which of them holds a session; only a
	// holder answers. Locate → Located.
	SubjectLocate = prefix + "locate"
	// SubjectWorkers is heard by all workers. WorkersNotice, no reply.
	SubjectWorkers = prefix + "ctl.workers"
	// SubjectDirectoryRenew extends the leases of a worker's sessions. A queue
	// group of the control planes answers. Renew → RenewReply.
	SubjectDirectoryRenew = prefix + "directory.renew"
	// SubjectDirectoryAnnounce restores sessions in the directory. A queue
	// group of the control planes answers. Announce → AnnounceReply.
	SubjectDirectoryAnnounce = prefix + "directory.announce"
	// SubjectHeartbeats matches the heartbeats of every worker.
	SubjectHeartbeats = prefix + "evt.worker.*.heartbeat"
	// SubjectByes matches the goodbyes of every worker.
	SubjectByes = prefix + "evt.worker.*.bye"
	// QueueControlPlane is the queue group of the control planes.
	QueueControlPlane = "controlplane"
	// ServiceName is the micro service name under which workers are listed.
	ServiceName = "sfu-worker"
	// ServiceVersion is the protocol version as a semantic version, for micro.
	ServiceVersion = "1.0.0"
)

// WorkerSubject returns the subject of a session command to one worker.
func WorkerSubject(w ids.WorkerID, op Operation) string {
	return prefix + "worker." + string(w) + ".session." + string(op)
}

// ControlSubject returns the subject of an operator's command to one worker:
// "drain" or "snapshot".
func ControlSubject(w ids.WorkerID, verb string) string {
	return prefix + "worker." + string(w) + ".ctl." + verb
}

// HeartbeatSubject returns where a worker publishes its Heartbeat, once a second.
func HeartbeatSubject(w ids.WorkerID) string {
	return prefix + "evt.worker." + string(w) + ".heartbeat"
}

// ByeSubject returns where a worker publishes its Bye when it stops.
func ByeSubject(w ids.WorkerID) string { return prefix + "evt.worker." + string(w) + ".bye" }

// WorkerOfEvent returns the worker id within a heartbeat or bye subject.
func WorkerOfEvent(subject string) (ids.WorkerID, error) {
	rest, _ := strings.CutPrefix(subject, prefix+"evt.worker.")
	id, _, _ := strings.Cut(rest, ".")
	return ids.ParseWorkerID(id)
}
