package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"

	"switchboard/shared/ids"
	"switchboard/tests/e2e/apiclient"
)

// The one App of every cluster.
const (
	App    ids.AppID = "e2e"
	Secret string    = "e2e-secret-0123456789abcdef"
)

// logTail is how much of each log a failed test shows, bytes.
const logTail = 2000

// Config says what a cluster is made of.
type Config struct {
	// ControlPlanes and Workers count the tiers' instances; default 2 and 3.
	ControlPlanes, Workers int
	// Processes runs everything as separate processes, from these binaries; nil
	// runs the tiers in this one.
	Processes *Binaries
	// RealRedis uses a redis-server also where the tiers are in this process.
	// The stand-in cannot be restarted.
	RealRedis bool
	// MaxSessions is each worker's capacity; 0 sets no limit.
	MaxSessions int
}

// Cluster is a running system. Its methods are for one goroutine, except those
// that ask questions.
type Cluster struct {
	config Config
	dir    string
	files  []*os.File // logs of the tiers in this process

	nats, redis backend
	replicas    []replica
	workers     []worker
	observer    *observer
}

// replica is one control plane.
type replica interface {
	base() string
	kill() error
}

// worker is one media worker.
type worker interface {
	id() ids.WorkerID
	kill() error
}

// backend is NATS or Redis.
type backend interface {
	address() string
	start(ctx context.Context) error
	stop() error
}

// Start returns a cluster that serves, or an error that says what did not
// start. The caller closes it.
func Start(ctx context.Context, config Config) (*Cluster, error) {
	if config.ControlPlanes == 0 {
		config.ControlPlanes = 2
	}
	if config.Workers == 0 {
		config.Workers = 3
	}
	dir, err := os.MkdirTemp("", "switchboard-e2e-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{config: config, dir: dir}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, errors.New(c.Logs()), c.Close())
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.startBackends(ctx); err != nil {
		return err
	}
	var err error
	if c.observer, err = observe(c.nats.address()); err != nil {
		return err
	}
	for i := range c.config.Workers {
		w, err := c.startWorker(ctx, i)
		if err != nil {
			return err
		}
		c.workers = append(c.workers, w)
	}
	for i := range c.config.ControlPlanes {
		r, err := c.startReplica(ctx, i)
		if err != nil {
			return err
		}
		c.replicas = append(c.replicas, r)
	}
	return nil
}

func (c *Cluster) startBackends(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	if c.config.Processes != nil {
		c.nats = &server{dir: c.dir, at: address, run: startNATS}
	} else {
		c.nats = &embeddedNATS{at: address}
	}
	if c.config.Processes != nil || c.config.RealRedis {
		if address, err = freeAddress(); err != nil {
			return err
		}
		c.redis = &server{dir: c.dir, at: address, run: startRedis}
	} else {
		c.redis = new(redisStandIn)
	}
	return errors.Join(c.nats.start(ctx), c.redis.start(ctx))
}

// Close ends everything that the cluster started and waits for it.
func (c *Cluster) Close() error {
	var errs []error
	for _, r := range c.replicas {
		errs = append(errs, r.kill())
	}
	for _, w := range c.workers {
		errs = append(errs, w.kill())
	}
	if c.observer != nil {
		c.observer.close()
	}
	for _, b := range []backend{c.redis, c.nats} {
		if b != nil {
			errs = append(errs, b.stop())
		}
	}
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// API returns a client whose calls go to the replicas in turn.
func (c *Cluster) API() *apiclient.Client {
	var bases []string
	for _, r := range c.replicas {
		bases = append(bases, r.base())
	}
	return apiclient.New(string(App), Secret, bases...)
}

// Workers returns the ids of the workers that have not been killed.
func (c *Cluster) Workers() []ids.WorkerID {
	var alive []ids.WorkerID
	for _, w := range c.workers {
		alive = append(alive, w.id())
	}
	return alive
}

// NATS returns a connection of the cluster's own, for questions to workers.
func (c *Cluster) NATS() *nats.Conn { return c.observer.conn }

// KillReplica ends control plane i at once; API clients made before still try it.
func (c *Cluster) KillReplica(i int) error {
	err := c.replicas[i].kill()
	c.replicas = slices.Delete(c.replicas, i, i+1)
	return err
}

// KillWorker ends a worker without a goodbye.
func (c *Cluster) KillWorker(id ids.WorkerID) error {
	i := slices.IndexFunc(c.workers, func(w worker) bool { return w.id() == id })
	if i < 0 {
		return fmt.Errorf("no worker %s", id)
	}
	err := c.workers[i].kill()
	c.workers = slices.Delete(c.workers, i, i+1)
	return err
}

// StopRedis ends Redis and loses its data.
func (c *Cluster) StopRedis() error { return c.redis.stop() }

// StartRedis starts an empty Redis at the same address after StopRedis.
func (c *Cluster) StartRedis(ctx context.Context) error { return c.redis.start(ctx) }

// StopNATS ends the message bus.
func (c *Cluster) StopNATS() error { return c.nats.stop() }

// StartNATS starts the message bus at the same address after StopNATS, and
// returns when the cluster's own connection is back.
func (c *Cluster) StartNATS(ctx context.Context) error {
	if err := c.nats.start(ctx); err != nil {
		return err
	}
	return c.observer.reconnected(ctx)
}

// Logs returns the end of every log, for a failed test.
func (c *Cluster) Logs() string {
	var all strings.Builder
	names, _ := filepath.Glob(filepath.Join(c.dir, "*.log"))
	for _, name := range names {
		if content, err := os.ReadFile(name); err == nil && len(content) > 0 {
			fmt.Fprintf(&all, "--- %s\n%s\n", filepath.Base(name), tail(content, logTail))
		}
	}
	return all.String()
}
