package placement

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

var update = flag.Bool("update", false, "rewrite the golden plans")

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// TestGolden reads scenarios from testdata/*.txt. A line is a worker
// ("worker w1 sessions=3 max=10 cpu=0.5 beat=2s region=eu state=draining
// app.a=300"), "clear", a comment, or a request ("plan app=a publishers=w1,w2
// region=eu random=7 policy=spread sequence=1") whose plan follows on lines
// that start with "=>".
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScenario(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("plans changed (-want +got); run with -update if that is meant:\n%s", diff)
			}
		})
	}
}

func runScenario(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	var cluster Cluster
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "=>") {
			continue
		}
		fmt.Fprintln(&out, line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "worker":
			cluster = append(cluster, parseWorker(t, rest))
		case "plan":
			fmt.Fprintln(&out, "=>", cluster.Plan(parseRequest(t, rest), now))
		case "clear":
			cluster = nil
		}
	}
	return out.String()
}

func parseWorker(t *testing.T, text string) Worker {
	fields := strings.Fields(text)
	w := Worker{ID: ids.WorkerID(fields[0]), State: wire.WorkerServing, LastBeat: now, AppSessions: map[ids.AppID]int{}}
	for key, value := range pairs(t, fields[1:]) {
		var err error
		app, isApp := strings.CutPrefix(key, "app.")
		switch {
		case isApp:
			w.AppSessions[ids.AppID(app)], err = strconv.Atoi(value)
		case key == "sessions":
			w.Sessions, err = strconv.Atoi(value)
		case key == "max":
			w.MaxSessions, err = strconv.Atoi(value)
		case key == "cpu":
			w.CPU, err = strconv.ParseFloat(value, 64)
		case key == "region":
			w.Region = value
		case key == "state":
			w.State = wire.WorkerState(value)
		case key == "beat":
			var age time.Duration
			age, err = time.ParseDuration(value)
			w.LastBeat = now.Add(-age)
		default:
			t.Fatalf("worker has no %q", key)
		}
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	return w
}

func parseRequest(t *testing.T, text string) Request {
	r := Request{Policy: Local}
	for key, value := range pairs(t, strings.Fields(text)) {
		var err error
		switch key {
		case "app":
			r.App = ids.AppID(value)
		case "policy":
			r.Policy = Policy(value)
		case "region":
			r.Region = value
		case "publishers":
			for id := range strings.SplitSeq(value, ",") {
				r.Publishers = append(r.Publishers, ids.WorkerID(id))
			}
		case "random":
			r.Random, err = strconv.ParseUint(value, 10, 64)
		case "sequence":
			r.Sequence, err = strconv.ParseUint(value, 10, 64)
		default:
			t.Fatalf("request has no %q", key)
		}
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
	}
	return r
}

func pairs(t *testing.T, fields []string) map[string]string {
	t.Helper()
	m := make(map[string]string, len(fields))
	for _, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			t.Fatalf("%q is not key=value", f)
		}
		m[key] = value
	}
	return m
}

func workers(n int) Cluster {
	c := make(Cluster, n)
	for i := range c {
		c[i] = Worker{ID: ids.WorkerID(fmt.Sprintf("w%03d", i)), State: wire.WorkerServing, LastBeat: now}
	}
	return c
}

// A worker that leaves must move only the Apps whose shard it was, and the Apps
// must be spread evenly over the workers.
func TestShardIsStableAndEven(t *testing.T) {
	const apps, n = 2000, 10
	before, after := workers(n), workers(n)[:n-1]
	first := map[ids.WorkerID]int{}
	for i := range apps {
		r := Request{App: ids.AppID(fmt.Sprintf("app-%d", i)), Policy: Local}
		was := before.Plan(r, now)[0].Worker
		is := after.Plan(r, now)[0].Worker
		first[was]++
		if was != is && was != before[n-1].ID {
			t.Fatalf("app %d moved from %s to %s though %s stayed", i, was, is, was)
		}
	}
	for w, k := range first {
		if k < apps/n/2 || k > apps/n*2 {
			t.Errorf("%s is first for %d Apps, want about %d", w, k, apps/n)
		}
	}
	if len(first) != n {
		t.Errorf("%d workers are first for some App, want %d", len(first), n)
	}
}

// No plan may name a worker twice, name one that takes no sessions, or be empty
// while some worker takes sessions.
func FuzzPlan(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint8(3), "app", true)
	f.Add(uint64(0), uint8(0), uint8(0), "", false)
	f.Add(^uint64(0), uint8(200), uint8(7), "a", false)
	f.Fuzz(func(t *testing.T, random uint64, n, every uint8, app string, isSpread bool) {
		c := workers(int(n))
		open := map[ids.WorkerID]bool{}
		for i := range c {
			c[i].CPU = float64(mix(random+uint64(i))%100) / 100
			c[i].AppSessions = map[ids.AppID]int{ids.AppID(app): int(mix(random) % 400)}
			switch k := uint64(every) + 2; mix(random^uint64(i)) % k {
			case 0:
				c[i].State = wire.WorkerDraining
			case 1:
				c[i].LastBeat = now.Add(-SuspectAfter)
			default:
				open[c[i].ID] = true
			}
		}
		r := Request{App: ids.AppID(app), Policy: Local, Random: random, Sequence: random, Publishers: []ids.WorkerID{"w000", "gone", "w000"}}
		if isSpread {
			r.Policy = Spread
		}
		plan := c.Plan(r, now)
		if want := min(len(open), 1); len(plan) < want || len(plan) > MaxCandidates {
			t.Fatalf("%d candidates of %d open workers: %s", len(plan), len(open), plan)
		}
		seen := map[ids.WorkerID]bool{}
		for _, candidate := range plan {
			if !open[candidate.Worker] || seen[candidate.Worker] {
				t.Fatalf("%s is closed or twice in %s", candidate.Worker, plan)
			}
			seen[candidate.Worker] = true
		}
	})
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{3, 100, 5000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			c := workers(n)
			b.ReportAllocs()
			for i := range b.N {
				c.Plan(Request{App: "app", Policy: Local, Random: mix(uint64(i))}, now)
			}
		})
	}
}
