package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"switchboard/controlplane"
	"switchboard/deployments/switchboard/demo"
	"switchboard/mediaworker"
	"switchboard/shared/obs"
	"switchboard/shared/standin"
)

// startTimeout bounds the start of a whole system.
const startTimeout = 30 * time.Second

// devCommand runs the whole system in this process: the real nats-server
// without a socket, a stand-in for Redis, one control plane and some workers.
type devCommand struct {
	Listen    string `default:"127.0.0.1:8080" env:"SWITCHBOARD_LISTEN" placeholder:"HOST:PORT" help:"Where the HTTP API listens; port 0 is any free one. Media uses the same host. Default: ${default}."`
	Workers   int    `default:"2" env:"SWITCHBOARD_WORKERS" placeholder:"N" help:"Number of media workers. Default: ${default}."`
	UDPPort   int    `name:"udp-port" default:"0" env:"SWITCHBOARD_UDP_PORT" placeholder:"PORT" help:"UDP port of the first worker, the next has the next port; 0 is any free ones. Default: ${default}."`
	Placement string `default:"local" enum:"local,spread" env:"SWITCHBOARD_PLACEMENT" placeholder:"local|spread" help:"Keep an App's sessions together, or put successive ones on different workers. Default: ${default}."`
	Output    string `default:"text" enum:"text,json" env:"SWITCHBOARD_OUTPUT" placeholder:"text|json" help:"What to print when ready: a block for people, or one line of JSON. Default: ${default}."`
	LogLevel  string `default:"info" enum:"debug,info,warn,error" env:"SWITCHBOARD_LOG_LEVEL" placeholder:"LEVEL" help:"Least severe level to log: debug, info, warn or error. Default: ${default}."`
	app
}

// Validate checks what kong cannot.
func (d devCommand) Validate() error {
	switch {
	case d.Workers < 1 || d.Workers > 64:
		return fmt.Errorf("--workers is %d, want 1 to 64", d.Workers)
	case d.UDPPort < 0 || d.UDPPort+d.Workers > 65536:
		return fmt.Errorf("--udp-port is %d, want 0 or a port with room for %d workers", d.UDPPort, d.Workers)
	}
	if _, err := d.mediaHost(); err != nil {
		return err
	}
	return nil
}

// mediaHost is the host of Listen as the workers want it: an address.
func (d devCommand) mediaHost() (string, error) {
	host, _, err := net.SplitHostPort(d.Listen)
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if err != nil || host != "" && net.ParseIP(host) == nil {
		return "", fmt.Errorf("--listen is %q, want host:port with an IP address, localhost or nothing as the host", d.Listen)
	}
	return host, nil
}

// Run serves until it is told to stop.
func (d devCommand) Run(s stopping) error { return d.run(s.gently, os.Stdout) }

func (d devCommand) run(ctx context.Context, out io.Writer) error {
	log, err := obs.NewLogger(obs.LogConfig{Level: d.LogLevel})
	if err != nil {
		return err
	}
	defer log.Sync()
	if d.app, err = d.orRandom(); err != nil {
		return err
	}
	bus, err := standin.StartNATS(standin.NATSOptions{})
	if err != nil {
		return err
	}
	defer bus.Close()
	store, err := standin.StartRedis()
	if err != nil {
		return err
	}
	defer store.Close()
	log.Info("Redis is a stand-in inside this process: for development only, everything in it is lost at exit")

	parts := devParts{command: d, bus: bus, store: store, log: log}
	defer parts.close()
	group, running := errgroup.WithContext(ctx)
	if err := parts.start(running, group); err != nil {
		return errors.Join(err, group.Wait())
	}
	group.Go(func() error { return parts.announce(running, out) })
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil // told to stop before it was ready
}

// devParts is what runs within one dev process. It is built and read by
// devCommand.run alone.
type devParts struct {
	command devCommand
	bus     *standin.NATS
	store   *standin.Redis
	log     *zap.Logger
	control *controlplane.ControlPlane
	workers []*mediaworker.Worker
	closers []func()
}

// start makes all parts, then runs them in group until ctx ends.
func (p *devParts) start(ctx context.Context, group *errgroup.Group) error {
	for i := range p.command.Workers {
		if err := p.addWorker(i); err != nil {
			return err
		}
	}
	if err := p.addControlPlane(); err != nil {
		return err
	}
	for _, w := range p.workers {
		group.Go(func() error { return w.Run(ctx) })
	}
	group.Go(func() error { return p.control.Run(ctx) })
	return nil
}

func (p *devParts) addWorker(i int) error {
	c := mediaworker.Default()
	c.Label = "w" + strconv.Itoa(i+1)
	c.ReceiveBuffer = 0 // enough for one machine, on any system
	host, err := p.command.mediaHost()
	if err != nil {
		return err
	}
	port := 0
	if p.command.UDPPort != 0 {
		port = p.command.UDPPort + i
	}
	c.UDP = []string{net.JoinHostPort(host, strconv.Itoa(port))}
	conn, err := p.bus.Connect("mediaworker " + c.Label)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, conn.Close)
	w, err := mediaworker.New(c, mediaworker.Deps{NATS: conn, Log: p.log.Named(c.Label)})
	if err != nil {
		return err
	}
	p.workers = append(p.workers, w)
	return nil
}

func (p *devParts) addControlPlane() error {
	c := controlplane.Default()
	c.Listen = p.command.Listen
	c.Apps = []controlplane.AppConfig{{ID: p.command.AppID, Name: "dev", Secrets: []string{p.command.AppSecret}}}
	c.Placement = p.command.Placement
	pages, err := demo.Handler(demo.Options{AppID: p.command.AppID, AppSecret: p.command.AppSecret})
	if err != nil {
		return err
	}
	conn, err := p.bus.Connect("controlplane")
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: p.store.Addr()})
	p.closers = append(p.closers, conn.Close, func() { _ = client.Close() })
	p.control, err = controlplane.New(c, controlplane.Deps{NATS: conn, Redis: client, Log: p.log.Named("controlplane"), Pages: pages})
	return err
}

// announce waits until every part serves and prints how to reach them.
func (p *devParts) announce(ctx context.Context, out io.Writer) error {
	if err := p.awaitStart(ctx); err != nil {
		return fmt.Errorf("not ready within %s: %w", startTimeout, errors.Join(ctx.Err(), err))
	}
	base := p.base()
	r := ready{APIBaseURL: base + "/v1", AppID: p.command.AppID, AppSecret: p.command.AppSecret, DemoURL: base + "/demo/echo"}
	for _, w := range p.workers {
		r.Workers = append(r.Workers, readyWorker{ID: w.ID(), UDPPort: portOf(w.MediaAddresses()[0])})
	}
	return r.write(out, p.command.Output)
}

// base returns the root of the HTTP server, once it listens.
func (p *devParts) base() string { return "http://" + reachable(p.control.Addr()) }

func (p *devParts) awaitStart(ctx context.Context) error {
	deadline, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	started := []<-chan struct{}{p.control.Ready()}
	for _, w := range p.workers {
		started = append(started, w.Ready())
	}
	for _, c := range started {
		select {
		case <-c:
		case <-deadline.Done():
			return errors.New("a part did not start")
		}
	}
	return awaitReady(deadline, p.base())
}

func (p *devParts) close() {
	for _, c := range p.closers {
		c()
	}
}

// reachable replaces the host of a listening address that stands for every
// interface by one that can be dialled on this machine.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
