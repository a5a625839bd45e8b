package munge

import (
	"math/bits"
	"time"
)

// Clock ties a stream's timestamps to its publisher's wall clock, as its last
// sender report does (RFC 3550 section 6.4.1).
type Clock struct {
	// NTP and RTP are the same instant: 64-bit NTP time, and timestamp. NTP 0
	// means that no report has come.
	NTP uint64
	RTP uint32
	// Rate of the timestamps, Hz.
	Rate uint32
}

// at returns c's timestamp of the instant at which other shows timestamp.
func (c Clock) at(timestamp uint32, other Clock) (uint32, bool) {
	if c.NTP == 0 || other.NTP == 0 || c.Rate == 0 || other.Rate == 0 {
		return 0, false
	}
	// Seconds in 32.32 fixed point since other's report, then since c's.
	since := int64(int32(timestamp-other.RTP)) << 32 / int64(other.Rate)
	since += int64(other.NTP - c.NTP)
	return c.RTP + uint32(scale(since, c.Rate)), true
}

// scale returns seconds, in 32.32 fixed point, times rate.
func scale(seconds int64, rate uint32) int64 {
	negative := seconds < 0
	if negative {
		seconds = -seconds
	}
	high, low := bits.Mul64(uint64(seconds), uint64(rate))
	ticks := int64(high<<32 | low>>32)
	if negative {
		return -ticks
	}
	return ticks
}

// Ticks is how far timestamps of the given rate, Hz, move in d.
func Ticks(d time.Duration, rate uint32) uint32 {
	seconds, rest := d/time.Second, d%time.Second
	return uint32(int64(seconds)*int64(rate) + int64(rest)*int64(rate)/int64(time.Second))
}
