package session

import "switchboard/shared/ids"

// maxNames bounds the names whose publications are counted one by one: clients
// may publish under a fresh name each time.
const maxNames = 1024

// generations counts how often each name was published, so that no two
// publications of a name have the same number. The zero value is ready.
type generations struct {
	count map[ids.TrackName]uint64
	// forgotten is the highest count that was given up.
	forgotten uint64
}

// next counts one publication of the name.
func (g *generations) next(name ids.TrackName) uint64 {
	n := max(g.count[name], g.forgotten) + 1
	if g.count == nil {
		g.count = make(map[ids.TrackName]uint64)
	}
	if _, known := g.count[name]; !known && len(g.count) == maxNames {
		for _, count := range g.count {
			g.forgotten = max(g.forgotten, count)
		}
		clear(g.count)
		n = g.forgotten + 1
	}
	g.count[name] = n
	return n
}
