// Package keyframe decides when to ask the sender of a layer for a keyframe, so
// that any number of subscribers in need of one cost one request. It is pure:
// time is an argument.
package keyframe

import "time"

// minInterval is the shortest time between two requests; on a long path it is
// one and a half round trips, so that an answer on its way is not asked for
// again.
const minInterval = 500 * time.Millisecond

// Gate coalesces the requests for one layer. The zero value is ready. Its owner
// serialises the calls.
type Gate struct {
	asked   time.Duration
	ever    bool // asked holds a time
	pending bool // a request came too early and no keyframe since
}

// Request says whether to ask for a keyframe now: the first request passes at
// once. One that comes too early is remembered for Due.
func (g *Gate) Request(now, rtt time.Duration) bool {
	if g.ever && now-g.asked < interval(rtt) {
		g.pending = true
		return false
	}
	g.asked, g.ever, g.pending = now, true, false
	return true
}

// Due says whether to ask now on behalf of a request that came too early.
func (g *Gate) Due(now, rtt time.Duration) bool {
	return g.pending && g.Request(now, rtt)
}

// Arrived notes a keyframe: requests made before it are satisfied.
func (g *Gate) Arrived() { g.pending = false }

// Pending says whether Due has to be called.
func (g *Gate) Pending() bool { return g.pending }

// Restart forgets the last request: another stream follows, which nobody has
// asked yet.
func (g *Gate) Restart() { *g = Gate{} }

func interval(rtt time.Duration) time.Duration { return max(minInterval, rtt+rtt/2) }
