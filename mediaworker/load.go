package mediaworker

import (
	"cmp"
	"maps"
	"slices"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// load returns the heartbeat but for the worker's id and CPU.
func (p *parts) load() wire.Heartbeat {
	w, n := p.worker, p.registry.Count()
	_, sessions := p.registry.Apps()
	h := wire.Heartbeat{
		Label: w.config.Label, Region: w.config.Region, State: wire.WorkerServing,
		Sessions: n.Sessions, Publications: n.Publications, Subscriptions: n.Subscriptions,
		MaxSessions: w.config.MaxSessions, AppSessions: largest(sessions, wire.MaxHeartbeatApps),
		MediaAddresses: p.addresses, Usage: p.registry.Total(),
	}
	if w.draining.Load() {
		h.State = wire.WorkerDraining
	}
	return h
}

// largest returns the n Apps with the most sessions.
func largest(sessions map[ids.AppID]int, n int) map[ids.AppID]int {
	if len(sessions) <= n {
		return sessions
	}
	apps := slices.SortedFunc(maps.Keys(sessions), func(a, b ids.AppID) int {
		return cmp.Or(cmp.Compare(sessions[b], sessions[a]), cmp.Compare(a, b))
	})
	top := make(map[ids.AppID]int, n)
	for _, a := range apps[:n] {
		top[a] = sessions[a]
	}
	return top
}

func (p *parts) snapshot() wire.Snapshot {
	usage, sessions := p.registry.Apps()
	return wire.Snapshot{Heartbeat: p.reporter.Heartbeat(), Apps: usage, Sessions: sessions}
}
