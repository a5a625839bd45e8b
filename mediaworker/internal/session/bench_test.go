package session

import (
	"runtime"
	"testing"
	"time"

	"switchboard/shared/wire"
)

// BenchmarkJoin is the SFU's own work when a viewer joins, without ICE and
// DTLS: a fresh session, a pull of audio and video, the answer, and its end.
func BenchmarkJoin(b *testing.B) {
	r := newRig(b)
	st := r.stage()
	b.ReportAllocs()
	for b.Loop() {
		u := r.user(st, b.Fatalf)
		u.pull(wire.Audio, wire.Video)
		u.answer()
		if _, err := r.do(wire.OpClose, &wire.Close{SessionRef: u.ref()}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPublish is the same for a publisher: a fresh session and a push of
// audio and video, one call each.
func BenchmarkPublish(b *testing.B) {
	r := newRig(b)
	st := r.stage()
	b.ReportAllocs()
	for b.Loop() {
		u := r.user(st, b.Fatalf)
		u.push(wire.Audio)
		u.push(wire.Video)
		if _, err := r.do(wire.OpClose, &wire.Close{SessionRef: u.ref()}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnect is a whole join over loopback, with its pion client in the
// same process: the time from the pull's call to its first packet. 200 ms of it
// are the client's, which nominates at its second round of checks; the CPU time
// is that of both sides.
func BenchmarkConnect(b *testing.B) {
	r := newRig(b)
	publisher := r.client(0)
	publisher.push(publisher.send("mic", wire.Audio, 0))
	var first time.Duration
	for b.Loop() {
		viewer := r.client(0)
		start := time.Now()
		mid := viewer.pull(publisher, "mic")[0]
		viewer.waitPackets(1, mid)
		first += time.Since(start)
		viewer.close()
		if _, err := r.do(wire.OpClose, &wire.Close{SessionRef: viewer.ref()}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(first.Microseconds())/float64(b.N)/1000, "ms-to-first-packet")
}

// BenchmarkMemory reports what a session takes that has negotiated, and each of
// its subscriptions.
func BenchmarkMemory(b *testing.B) {
	const sessions, more = 200, 20
	for b.Loop() {
		r := newRig(b)
		st := r.stage()
		users := make([]*user, sessions)
		empty, goroutines := heap(), runtime.NumGoroutine()
		for i := range users {
			users[i] = r.user(st, b.Fatalf)
			users[i].pull(wire.Audio)
			users[i].answer()
			users[i].browser = nil
		}
		one := heap()
		b.ReportMetric(float64(one-empty)/sessions/1024, "KiB/session")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/sessions, "goroutines/session")
		u := r.user(st, b.Fatalf)
		u.pull(wire.Audio)
		u.answer()
		before := heap()
		for range more {
			u.pull(wire.Audio)
			u.answer()
		}
		b.ReportMetric(float64(heap()-before)/more/1024, "KiB/subscription")
		r.registry.Close()
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
