// Package bench measures Switchboard from outside and prints one table:
//
//	go test ./tests/bench -run '^$' -bench .
//
// The same clients measure a forwarder that pion/webrtc gives with its defaults
// (tests/bench/stockpion) in the same run, so that the ratio holds where the
// absolute figures do not: machines differ, and on loopback the sender also
// pays for the receiver's side of the kernel. Server and load are processes of
// their own; processor times are the server's alone, user and system.
package bench

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// The measured servers.
const (
	switchboard = "switchboard"
	stock       = "stock-pion"
)

var servers = []string{stock, switchboard}

// Both servers of a comparison are up at once and are measured in turn, in
// several rounds, while the other one rests: what else happens on the machine
// then meets both.
const (
	rounds   = 3
	window   = 2 * time.Second // of each fan-out measurement
	settling = 300 * time.Millisecond
)

func TestMain(m *testing.M) {
	roles := map[string]func() error{roleStock: runStock, roleWorker: runWorker, roleLoad: runLoad}
	if role := roles[os.Getenv(roleVariable)]; role != nil {
		if err := role(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	results.print(os.Stdout)
	os.Exit(code)
}

// BenchmarkFanOut: processor time of the server per packet that a subscriber
// received, one publisher of 2 Mbit/s video and one audio track (260 packets/s).
func BenchmarkFanOut(b *testing.B) {
	for _, audience := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("subscribers=%d", audience), func(b *testing.B) {
			pair := startPair(b)
			for _, s := range pair {
				s.load.ask(b, command{Op: opJoin, Count: audience, Parallel: 4, Tracks: 2})
				s.load.ask(b, command{Op: opPause})
			}
			b.ResetTimer()
			for range b.N * rounds {
				for name, s := range pair {
					s.load.ask(b, command{Op: opResume})
					s.fanOut(b, name, audience)
					s.load.ask(b, command{Op: opPause})
				}
			}
			b.StopTimer()
			pair.leave(b)
		})
	}
}

func (s server) fanOut(b *testing.B, name string, audience int) {
	b.Helper()
	s.load.ask(b, command{Op: opMeasure, Window: settling})
	before := s.process.usage(b, false)
	got := s.load.ask(b, command{Op: opMeasure, Window: window})
	spent := s.process.usage(b, false).CPU - before.CPU
	if got.Delivered == 0 {
		b.Fatal("nothing was delivered")
	}
	each := float64(spent.Nanoseconds()) / float64(got.Delivered)
	results.add(fmt.Sprintf("CPU per delivered packet, subscribers: %d", audience), name, each/1000, "µs")
	results.add(fmt.Sprintf("  lost of the packets sent, subscribers: %d", audience), name, 100*float64(got.Lost)/float64(got.Delivered+got.Lost), "%")
	b.ReportMetric(each, name+"-cpu-ns/packet")
}

// BenchmarkJoin: a viewer's first API call (sessions/new) to its first media
// packet, one viewer at a time, audio and video; and what a join costs. Each
// viewer leaves before the next one comes.
func BenchmarkJoin(b *testing.B) {
	const joins = 20
	pair := startPair(b)
	for _, s := range pair {
		s.load.ask(b, command{Op: opJoin, Count: 2, Parallel: 1, Tracks: 2, Leave: true}) // warm
		s.load.ask(b, command{Op: opPause})
	}
	latencies := make(map[string][]time.Duration)
	b.ResetTimer()
	for range b.N * rounds {
		for name, s := range pair {
			s.load.ask(b, command{Op: opResume})
			before, here := s.process.usage(b, false), cpuTime()
			got := s.load.ask(b, command{Op: opJoin, Count: joins, Parallel: 1, Tracks: 2, Leave: true})
			spent, control := s.process.usage(b, false).CPU-before.CPU, cpuTime()-here
			s.load.ask(b, command{Op: opPause})
			latencies[name] = append(latencies[name], got.Latencies...)
			results.add("join and leave: CPU of the forwarder", name, spent.Seconds()*1000/joins, "ms")
			if name == switchboard {
				results.add("join and leave: CPU of control plane and NATS", name, control.Seconds()*1000/joins, "ms")
			}
		}
	}
	b.StopTimer()
	for name, values := range latencies {
		results.latencies("join: first API call to first packet", name, values)
		b.ReportMetric(float64(quantile(values, 0.5).Microseconds()), name+"-p50-µs/join")
	}
	pair.leave(b)
}

// BenchmarkMemory: what a connected session and a subscription hold.
func BenchmarkMemory(b *testing.B) {
	for _, name := range servers {
		b.Run("server="+name, func(b *testing.B) {
			const sessions, more = 40, 5
			s := startServer(b, name)
			s.load.ask(b, command{Op: opPublish, Video: 1 + more, Audio: 0})
			s.load.ask(b, command{Op: opIdle, Count: 2}) // what is made once is not counted
			s.load.ask(b, command{Op: opJoin, Count: 2, Parallel: 1, Tracks: 1})
			b.ResetTimer()
			for range b.N {
				empty := s.process.usage(b, true)
				s.load.ask(b, command{Op: opIdle, Count: sessions})
				s.load.ask(b, command{Op: opMeasure, Window: settling})
				idle := s.process.usage(b, true)
				results.memory("idle connected session", name, empty, idle, sessions)
				s.load.ask(b, command{Op: opJoin, Count: sessions, Parallel: 4, Tracks: 1})
				s.load.ask(b, command{Op: opMeasure, Window: settling})
				joined := s.process.usage(b, true)
				results.memory("subscriber of one video track", name, idle, joined, sessions)
				s.load.ask(b, command{Op: opMore, Tracks: more})
				s.load.ask(b, command{Op: opMeasure, Window: settling})
				results.memory("further subscription", name, joined, s.process.usage(b, true), (sessions+2)*more)
				b.ReportMetric(float64(joined.Live-idle.Live)/sessions, "B/subscriber")
			}
			b.StopTimer()
			s.load.ask(b, command{Op: opLeave})
		})
	}
}

// BenchmarkCall: one push through HTTP, Redis and NATS to a worker that answers
// at once: what the control plane adds to the worker's own work. Redis is a real
// redis-server; the caller is another process.
func BenchmarkCall(b *testing.B) {
	for _, parallel := range []int{1, 8} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			const calls = 2000
			system := startSystem(b)
			worker, err := startStub(system.connectNATS(b))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(worker.close)
			system.usable(b)
			load := start(b, roleLoad)
			load.ask(b, command{Op: opConnect, Server: system.url + "/v1", App: benchApp, Secret: benchSecret})
			load.ask(b, command{Op: opCalls, Count: 200, Parallel: parallel})
			b.ResetTimer()
			for range b.N {
				here := cpuTime()
				got := load.ask(b, command{Op: opCalls, Count: calls, Parallel: parallel})
				spent := cpuTime() - here
				title := fmt.Sprintf("tracks/new above a stub worker, %d at once", parallel)
				results.latencies(title, switchboard, got.Latencies)
				// Each measured call comes with a sessions/new.
				results.add(title+": CPU with its sessions/new", switchboard, spent.Seconds()*1e6/calls, "µs")
				b.ReportMetric(float64(quantile(got.Latencies, 0.5).Microseconds()), "p50-µs/call")
			}
		})
	}
}

// quantile returns the q-th quantile of values, by the nearest rank.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
