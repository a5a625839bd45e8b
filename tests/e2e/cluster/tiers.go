package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"switchboard/controlplane"
	"switchboard/mediaworker"
	"switchboard/shared/ids"
	"switchboard/shared/natsconn"
)

func (c *Cluster) startReplica(ctx context.Context, i int) (replica, error) {
	name := fmt.Sprintf("controlplane-%d", i)
	if c.config.Processes != nil {
		return c.spawnReplica(ctx, name)
	}
	config := controlplane.Default()
	config.Listen = "127.0.0.1:0"
	config.Apps = []controlplane.AppConfig{{ID: string(App), Name: "e2e", Secrets: []string{Secret}}}
	config.NATS.URL = "nats://" + c.nats.address()
	config.Redis.Addresses = []string{c.redis.address()}
	log, err := c.logger(name)
	if err != nil {
		return nil, err
	}
	deps, disconnect, err := controlplane.Connect(config, log)
	if err != nil {
		return nil, err
	}
	tier, err := controlplane.New(config, deps)
	if err != nil {
		disconnect()
		return nil, err
	}
	r := &replicaHere{running: run(tier.Run, disconnect), tier: tier}
	if err := r.await(ctx, tier.Ready()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), r.kill())
	}
	return r, c.usable(ctx, r)
}

func (c *Cluster) startWorker(ctx context.Context, i int) (worker, error) {
	label := fmt.Sprintf("worker-%d", i)
	if c.config.Processes != nil {
		return c.spawnWorker(ctx, label)
	}
	config := mediaworker.Default()
	config.Label = label
	config.UDP, config.Advertise = []string{"127.0.0.1:0"}, []string{"127.0.0.1"}
	config.MaxSessions = c.config.MaxSessions
	config.NATS.URL = "nats://" + c.nats.address()
	log, err := c.logger(label)
	if err != nil {
		return nil, err
	}
	conn, err := natsconn.Connect(config.NATS, label, log)
	if err != nil {
		return nil, err
	}
	tier, err := mediaworker.New(config, mediaworker.Deps{NATS: conn, Log: log})
	if err != nil {
		conn.Close()
		return nil, err
	}
	// Its connection ends first, as that of a killed process does: no goodbye.
	w := &workerHere{running: run(tier.Run, func() {}), tier: tier, disconnect: conn.Close}
	if err := w.await(ctx, tier.Ready()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", label, err), w.kill())
	}
	return w, nil
}

// usable waits until a replica says that it can place sessions.
func (c *Cluster) usable(ctx context.Context, r replica) error {
	root := r.base()[:len(r.base())-len("/v1")]
	return poll(ctx, nil, func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, root+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer func() { _ = answer.Body.Close() }()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/readyz: HTTP %d", root, answer.StatusCode)
		}
		return nil
	})
}

// running is a tier in this process.
type running struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// run runs a tier until kill, then calls after.
func run(tier func(context.Context) error, after func()) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer after()
		r.err = tier(ctx)
	}()
	return r
}

func (r *running) await(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-r.done:
		return errors.Join(errors.New("it ended"), r.err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *running) kill() error {
	r.cancel()
	<-r.done
	return r.err
}

type replicaHere struct {
	*running
	tier *controlplane.ControlPlane
}

func (r *replicaHere) base() string { return "http://" + r.tier.Addr() + "/v1" }

type workerHere struct {
	*running
	tier       *mediaworker.Worker
	disconnect func()
}

func (w *workerHere) id() ids.WorkerID { return w.tier.ID() }

func (w *workerHere) kill() error {
	w.disconnect()
	return w.running.kill()
}

// spawnReplica starts a control plane as a process, configured by a file.
func (c *Cluster) spawnReplica(ctx context.Context, name string) (replica, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := c.spawnTier(name, c.config.Processes.controlPlane, fmt.Sprintf(`listen: %q
apps:
  - {id: %q, name: e2e, secrets: [%q]}
nats: {url: "nats://%s"}
redis: {addresses: [%q]}
log: {format: json}
`, address, App, Secret, c.nats.address(), c.redis.address()))
	if err != nil {
		return nil, err
	}
	r := &replicaProcess{process: p, address: address}
	if err := p.await(ctx, dials(address)); err != nil {
		return nil, orKill(p, err)
	}
	return r, c.usable(ctx, r)
}

// spawnWorker starts a media worker as a process, configured by a file.
func (c *Cluster) spawnWorker(ctx context.Context, label string) (worker, error) {
	p, err := c.spawnTier(label, c.config.Processes.mediaWorker, fmt.Sprintf(`label: %q
udp: ["127.0.0.1:0"]
advertise: ["127.0.0.1"]
maxSessions: %d
nats: {url: "nats://%s"}
log: {format: json}
`, label, c.config.MaxSessions, c.nats.address()))
	if err != nil {
		return nil, err
	}
	w := &workerProcess{process: p}
	return w, orKill(p, p.await(ctx, func() error {
		w.worker, err = c.observer.worker(label)
		return err
	}))
}

func (c *Cluster) spawnTier(name, program, config string) (*process, error) {
	path := filepath.Join(c.dir, name+".yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return spawn(c.dir, name, program, "--config", path)
}

type replicaProcess struct {
	*process
	address string
}

func (r *replicaProcess) base() string { return "http://" + r.address + "/v1" }

type workerProcess struct {
	*process
	worker ids.WorkerID
}

func (w *workerProcess) id() ids.WorkerID { return w.worker }

// logger writes to a file of the cluster, for failed tests.
func (c *Cluster) logger(name string) (*zap.Logger, error) {
	file, err := os.OpenFile(filepath.Join(c.dir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, file)
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(file), zap.InfoLevel)), nil
}
