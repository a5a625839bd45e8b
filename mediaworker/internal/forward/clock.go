package forward

import "time"

var epoch = time.Now()

// now is the monotonic time in which arrivals are measured.
func now() time.Duration { return time.Since(epoch) }
