package forward

import (
	"maps"
	"sync"
	"sync/atomic"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// Usage counts the RTP of one object: an App, a session, a track or a layer.
// Usages form a tree. Packets are counted at the leaves only, where nobody
// shares the counter, and summed when somebody asks; what an ended child
// counted stays in its parent. All methods are safe for concurrent use.
type Usage struct {
	ingressPackets, ingressBytes atomic.Uint64
	egressPackets, egressBytes   atomic.Uint64

	parent *Usage

	mu       sync.Mutex // guards what follows; a parent's after its child's, never both
	children map[*Usage]struct{}
	past     wire.Usage // of ended children
}

// Child returns a new usage that counts into u. A child of a nil usage counts
// for itself.
func (u *Usage) Child() *Usage {
	c := &Usage{parent: u}
	if u == nil {
		return c
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.children == nil {
		u.children = make(map[*Usage]struct{})
	}
	u.children[c] = struct{}{}
	return c
}

// End moves what u counted to its parent for good. Nothing may be counted in u
// or below it afterwards. A second call does nothing.
func (u *Usage) End() {
	if u.parent == nil {
		return
	}
	total := u.Total()
	u.parent.mu.Lock()
	defer u.parent.mu.Unlock()
	if _, ok := u.parent.children[u]; ok {
		delete(u.parent.children, u)
		u.parent.past = sum(u.parent.past, total)
	}
}

// Total returns what u and everything below it counted, ended children
// included.
func (u *Usage) Total() wire.Usage {
	u.mu.Lock()
	defer u.mu.Unlock()
	total := sum(u.past, wire.Usage{
		IngressPackets: u.ingressPackets.Load(), IngressBytes: u.ingressBytes.Load(),
		EgressPackets: u.egressPackets.Load(), EgressBytes: u.egressBytes.Load(),
	})
	for c := range u.children {
		total = sum(total, c.Total())
	}
	return total
}

func (u *Usage) ingress(packets, bytes int) {
	u.ingressPackets.Add(uint64(packets))
	u.ingressBytes.Add(uint64(bytes))
}

func (u *Usage) egress(packets, bytes int) {
	u.egressPackets.Add(uint64(packets))
	u.egressBytes.Add(uint64(bytes))
}

func sum(a, b wire.Usage) wire.Usage {
	return wire.Usage{
		IngressPackets: a.IngressPackets + b.IngressPackets,
		IngressBytes:   a.IngressBytes + b.IngressBytes,
		EgressPackets:  a.EgressPackets + b.EgressPackets,
		EgressBytes:    a.EgressBytes + b.EgressBytes,
	}
}

// Ledger is the usage of a worker: one Usage per App, kept for the worker's
// life. The zero value is ready. Safe for concurrent use.
type Ledger struct {
	mu   sync.Mutex
	apps map[ids.AppID]*Usage
}

// App returns the App's usage; sessions are its children.
func (l *Ledger) App(app ids.AppID) *Usage {
	l.mu.Lock()
	defer l.mu.Unlock()
	u, ok := l.apps[app]
	if !ok {
		if l.apps == nil {
			l.apps = make(map[ids.AppID]*Usage)
		}
		u = &Usage{}
		l.apps[app] = u
	}
	return u
}

// Apps returns each App's total since the worker's start.
func (l *Ledger) Apps() map[ids.AppID]wire.Usage {
	l.mu.Lock()
	apps := maps.Clone(l.apps)
	l.mu.Unlock()
	totals := make(map[ids.AppID]wire.Usage, len(apps))
	for app, u := range apps {
		totals[app] = u.Total()
	}
	return totals
}

// Total returns the worker's total since its start.
func (l *Ledger) Total() wire.Usage {
	var total wire.Usage
	for _, u := range l.Apps() {
		total = sum(total, u)
	}
	return total
}
