package command

import (
	"sync/atomic"
	"time"

	"switchboard/shared/fault"
)

// endpointStats counts the commands of one operation. Safe for concurrent use.
type endpointStats struct {
	served, faults, busy atomic.Uint64
	nanoseconds          atomic.Int64 // spent on served commands
}

func (s *endpointStats) count(took time.Duration, f *fault.Fault) {
	s.served.Add(1)
	s.nanoseconds.Add(int64(took))
	if f != nil {
		s.faults.Add(1)
	}
}

// endpointReport is the "data" of an endpoint in micro's statistics.
type endpointReport struct {
	// Served counts commands replied to, Faults those of them that failed as a
	// whole, Busy those refused because too many were in flight.
	Served uint64 `json:"served"`
	Faults uint64 `json:"faults"`
	Busy   uint64 `json:"busy"`
	// AverageMS is the mean time from receipt to reply of a served command, ms.
	AverageMS float64 `json:"averageMs"`
}

func (s *endpointStats) read() endpointReport {
	r := endpointReport{Served: s.served.Load(), Faults: s.faults.Load(), Busy: s.busy.Load()}
	if r.Served > 0 {
		r.AverageMS = float64(s.nanoseconds.Load()) / float64(time.Millisecond) / float64(r.Served)
	}
	return r
}
