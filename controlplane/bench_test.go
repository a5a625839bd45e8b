package controlplane

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"switchboard/shared/testkit"
)

// sdp has the size of a browser's offer of audio and video.
var sdp = strings.Repeat(`a=rtpmap:96 VP8/90000\r\n`, 180)

// BenchmarkCall measures whole API calls over HTTP against a scripted worker,
// whose own work is a map access: what is left is the control plane, NATS and
// Redis. It reports the time of a call and the processor time of all of them
// together (client, control plane, nats-server and worker are this process;
// redis-server is not).
func BenchmarkCall(b *testing.B) {
	bus := testkit.NATSServer(b)
	r := start(b, bus, testkit.RealRedis(b).Addr())
	testkit.StartWorker(b, bus, testkit.WorkerOptions{})
	awaitReady(b, r)
	offer := fmt.Sprintf(`"sessionDescription":{"type":"offer","sdp":"v=0\r\n%s"}`, sdp)
	body := fmt.Sprintf(`{%s,"tracks":[{"location":"local","mid":"0","trackName":"cam"},{"location":"local","mid":"1","trackName":"mic"}]}`, offer)

	publisher := r.session(b)
	if status, reply := r.call(b, "POST", publisher+"/tracks/new", body); status != http.StatusOK {
		b.Fatalf("push: %d %v", status, reply)
	}
	pull := fmt.Sprintf(`{"tracks":[{"location":"remote","sessionId":%q,"trackName":"cam"}]}`, publisher[strings.LastIndex(publisher, "/")+1:])

	first := func(body string) func(*testing.B) {
		return func(b *testing.B) {
			sessions := make(chan string, b.N)
			for range b.N {
				sessions <- r.session(b)
			}
			measure(b, func() { expect(b, r, "POST", <-sessions+"/tracks/new", body) })
		}
	}
	b.Run("create", func(b *testing.B) { measure(b, func() { r.session(b) }) })
	b.Run("push-first", first(body))
	b.Run("pull-first", first(pull))
	b.Run("push-again", func(b *testing.B) {
		// One call in a while on each session: the rate limit is per session.
		sessions := make(chan string, 1+b.N/50)
		for range cap(sessions) {
			session := r.session(b)
			expect(b, r, "POST", session+"/tracks/new", body)
			sessions <- session
		}
		measure(b, func() {
			session := <-sessions
			expect(b, r, "POST", session+"/tracks/new", body)
			sessions <- session
		})
	})
	b.Run("healthz", func(b *testing.B) { measure(b, func() { expect(b, r, "GET", "/healthz", "") }) })
}

func expect(b *testing.B, r *running, method, path, body string) {
	if status, reply := r.call(b, method, path, body); status != http.StatusOK {
		b.Errorf("%s: %d %v", path, status, reply)
	}
}

// measure runs call b.N times, one after the other, and reports the median, the
// 99th percentile and the processor time per call.
func measure(b *testing.B, call func()) {
	b.Helper()
	times := make([]time.Duration, b.N)
	before := cpuTime(b)
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		call()
		times[i] = time.Since(began)
	}
	b.StopTimer()
	used := cpuTime(b) - before
	slices.Sort(times)
	b.ReportMetric(float64(times[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(times[b.N*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-µs/op")
}

// BenchmarkCallParallel is the same first push from eight callers at once.
func BenchmarkCallParallel(b *testing.B) {
	bus := testkit.NATSServer(b)
	r := start(b, bus, testkit.RealRedis(b).Addr())
	testkit.StartWorker(b, bus, testkit.WorkerOptions{})
	awaitReady(b, r)
	sessions := make(chan string, b.N)
	for range b.N {
		sessions <- r.session(b)
	}
	close(sessions)
	before := cpuTime(b)
	b.ResetTimer()
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for session := range sessions {
				expect(b, r, "POST", session+"/tracks/new", push)
			}
		})
	}
	callers.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// cpuTime is the processor time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
