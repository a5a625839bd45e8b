// Package switchboard connects publications with those who pull them.
package switchboard

import "switchboard/shared/ids"

// Config is what a Switchboard is given.
type Config struct {
	// Worker is this worker's id.
	Worker ids.WorkerID
	// Relay opens publications of other workers; nil answers RelayUnavailable.
	Relay Relay
}

// Relay opens a publication that lives on another worker.
type Relay interface{}

// Switchboard knows the publications of this worker.
type Switchboard struct{ config Config }

// New returns an empty switchboard.
func New(config Config) *Switchboard { return &Switchboard{config: config} }
