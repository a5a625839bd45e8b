// Package e2e_test runs the whole system, HTTP to RTP, as its users do: each
// claim about media is settled by the packets that a receiver counted.
package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchboard/tests/e2e/cluster"
	"switchboard/tests/e2e/rtcclient"
)

// patience bounds one test; what works takes a fraction of it.
const patience = 60 * time.Second

// shared are the clusters that tests which break nothing have in common.
var shared struct {
	here, apart lazyCluster
	binaries    func() (*cluster.Binaries, error)
}

// lazyCluster starts at its first use.
type lazyCluster struct {
	once    sync.Once
	cluster *cluster.Cluster
	err     error
}

func (l *lazyCluster) get(t *testing.T, config func() (cluster.Config, error)) *cluster.Cluster {
	t.Helper()
	l.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		var c cluster.Config
		if c, l.err = config(); l.err == nil {
			l.cluster, l.err = cluster.Start(ctx, c)
		}
	})
	if l.err != nil {
		t.Fatal(l.err)
	}
	return l.cluster
}

func (l *lazyCluster) close() error {
	if l.cluster == nil {
		return nil
	}
	return l.cluster.Close()
}

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "switchboard-e2e-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	shared.binaries = sync.OnceValues(func() (*cluster.Binaries, error) { return cluster.Build(context.Background(), dir) })
	code := m.Run()
	if err := errors.Join(shared.here.close(), shared.apart.close(), os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	return code
}

// here returns the shared cluster whose tiers are in this process.
func here(t *testing.T) *cluster.Cluster {
	t.Helper()
	return shared.here.get(t, func() (cluster.Config, error) { return cluster.Config{}, nil })
}

// apart returns the shared cluster of processes.
func apart(t *testing.T) *cluster.Cluster {
	t.Helper()
	return shared.apart.get(t, func() (cluster.Config, error) {
		binaries, err := shared.binaries()
		return cluster.Config{Processes: binaries}, err
	})
}

// onBoth runs a test on both shared clusters.
func onBoth(t *testing.T, test func(t *testing.T, h harness)) {
	t.Helper()
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		test(t, use(t, here(t)))
	})
	t.Run("processes", func(t *testing.T) {
		t.Parallel()
		test(t, use(t, apart(t)))
	})
}

// own starts a cluster that the test may break.
func own(t *testing.T, config cluster.Config) harness {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := cluster.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(c.Logs())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return use(t, c)
}

// ownOfEach runs a test on a cluster of each shape that it may break. Both have
// a real redis-server, which can be restarted.
func ownOfEach(t *testing.T, config cluster.Config, test func(t *testing.T, h harness)) {
	t.Helper()
	config.RealRedis = true
	t.Run("one process", func(t *testing.T) {
		t.Parallel()
		test(t, own(t, config))
	})
	t.Run("processes", func(t *testing.T) {
		t.Parallel()
		binaries, err := shared.binaries()
		if err != nil {
			t.Fatal(err)
		}
		config := config
		config.Processes = binaries
		test(t, own(t, config))
	})
}

// harness is a cluster in the hands of one test, which any failed step ends.
type harness struct {
	*cluster.Cluster
	t   *testing.T
	ctx context.Context
}

func use(t *testing.T, c *cluster.Cluster) harness {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return harness{Cluster: c, t: t, ctx: ctx}
}

// ok ends the test on an error.
func (h harness) ok(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// join makes a client that is closed with the test.
func (h harness) join(o rtcclient.Options) *rtcclient.Client {
	h.t.Helper()
	api := h.API()
	c, err := rtcclient.New(h.ctx, api, o)
	h.ok(err)
	h.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			h.t.Error(err)
		}
		api.Close()
	})
	return c
}

// source makes a source that nobody has pushed.
func (h harness) source(config rtcclient.SourceConfig) *rtcclient.Source {
	h.t.Helper()
	s, err := rtcclient.NewSource(config)
	h.ok(err)
	return s
}

// sources makes one audio and one video source of few packets.
func (h harness) sources() []*rtcclient.Source {
	h.t.Helper()
	return []*rtcclient.Source{
		h.source(rtcclient.SourceConfig{Name: "mic", Kind: rtcclient.Audio}),
		h.source(rtcclient.SourceConfig{Name: "camera", Kind: rtcclient.Video, PacketsPerFrame: 2}),
	}
}

// publish makes a connected client that pushed sources.
func (h harness) publish(sources ...*rtcclient.Source) *rtcclient.Client {
	h.t.Helper()
	p := h.join(rtcclient.Options{})
	h.ok(p.Push(h.ctx, sources...))
	h.ok(p.WaitConnected(h.ctx))
	return p
}

// subscribe makes a client that pulled all of a publisher's sources.
func (h harness) subscribe(p *rtcclient.Client, sources ...*rtcclient.Source) (*rtcclient.Client, []*rtcclient.Inbound) {
	h.t.Helper()
	s := h.join(rtcclient.Options{})
	inbounds, err := s.Pull(h.ctx, p.Published(sources...)...)
	h.ok(err)
	return s, inbounds
}

// flows checks that the next count packets of a source arrive, each once,
// unchanged, in one stream whose numbers have no gap.
func (h harness) flows(s *rtcclient.Source, in *rtcclient.Inbound, count uint64) {
	h.t.Helper()
	h.arrives(s, in, count)
	c := in.Counts()
	if c.Foreign+c.Corrupt+c.Renumbered+c.Retimed+c.Duplicates != 0 {
		h.t.Errorf("%s: packets are not as they were sent: %+v", s.Name(), c)
	}
	if len(c.SSRCs) != 1 || len(c.PayloadTypes) != 1 {
		h.t.Errorf("%s: want one SSRC and one payload type: %+v", s.Name(), c)
	}
}

// arrives checks that the next count packets of a source arrive.
func (h harness) arrives(s *rtcclient.Source, in *rtcclient.Inbound, count uint64) {
	h.t.Helper()
	h.ok(in.WaitSource(h.ctx, s, 1))
	from := s.Next()
	h.ok(s.WaitSent(h.ctx, from+count-1))
	h.ok(in.WaitAll(h.ctx, s, from, from+count))
}

// allFlow is flows for each of several sources.
func (h harness) allFlow(sources []*rtcclient.Source, inbounds []*rtcclient.Inbound, count uint64) {
	h.t.Helper()
	for i, s := range sources {
		h.flows(s, inbounds[i], count)
	}
}

// owner returns the worker of a client's session.
func (h harness) owner(c *rtcclient.Client) string {
	h.t.Helper()
	w, err := h.Owner(h.ctx, c.Session())
	h.ok(err)
	return string(w)
}

// silent checks that a section stays quiet while beside receives count more
// packets of a source.
func (h harness) silent(quiet *rtcclient.Inbound, s *rtcclient.Source, beside *rtcclient.Inbound, count uint64) {
	h.t.Helper()
	h.arrives(s, beside, count) // what was under way has come by now
	before := quiet.Counts().Packets
	h.arrives(s, beside, count)
	if got := quiet.Counts().Packets - before; got != 0 {
		h.t.Errorf("section %s received %d packets, want none", quiet.Mid(), got)
	}
}
