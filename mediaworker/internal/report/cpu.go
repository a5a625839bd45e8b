package report

import (
	"runtime"
	"sync"
	"time"
)

// cpuWindow is the least time over which a share is measured; asked more
// often, the meter repeats its last answer.
const cpuWindow = 200 * time.Millisecond

// cpuMeter measures the share of the process's processors (GOMAXPROCS, which
// honours a container's quota) in use since it was last asked.
type cpuMeter struct {
	mu   sync.Mutex // guards all below
	at   time.Time
	used time.Duration
	last float64
}

// share returns 0 to 1; 0 at the first call and where the system does not tell.
func (m *cpuMeter) share(now time.Time) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.at) < cpuWindow {
		return m.last
	}
	return m.sample(now, processTime())
}

func (m *cpuMeter) sample(now time.Time, used time.Duration) float64 {
	if !m.at.IsZero() {
		capacity := now.Sub(m.at) * time.Duration(runtime.GOMAXPROCS(0))
		m.last = min(max(float64(used-m.used)/float64(capacity), 0), 1)
	}
	m.at, m.used = now, used
	return m.last
}
