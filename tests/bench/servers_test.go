package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/controlplane"
	"switchboard/mediaworker"
	"switchboard/shared/natsconn"
	"switchboard/shared/standin"
	"switchboard/shared/testkit"
	"switchboard/tests/bench/stockpion"
)

// The App of the measured system.
const (
	benchApp    = "bench"
	benchSecret = "bench-secret-0123456789abcdef"
)

// natsVariable tells a worker process where NATS is.
const natsVariable = "SWITCHBOARD_BENCH_NATS"

// runStock is the stock role.
func runStock() error {
	server, err := stockpion.Start()
	if err != nil {
		return err
	}
	err = serve(answer{URL: server.URL()}, func(c command) (answer, error) {
		return answer{}, fmt.Errorf("unknown question %q", c.Op)
	})
	return errors.Join(err, server.Close())
}

// runWorker is the worker role: one media worker and nothing else.
func runWorker() error {
	config := mediaworker.Default()
	config.Label = "bench"
	config.UDP, config.Advertise = []string{"127.0.0.1:0"}, []string{"127.0.0.1"}
	config.NATS.URL = os.Getenv(natsVariable)
	conn, err := natsconn.Connect(config.NATS, "bench", zap.NewNop())
	if err != nil {
		return err
	}
	defer conn.Close()
	worker, err := mediaworker.New(config, mediaworker.Deps{NATS: conn, Log: zap.NewNop()})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	select {
	case <-worker.Ready():
	case err := <-ended:
		stop()
		return err
	}
	err = serve(answer{}, func(c command) (answer, error) { return answer{}, fmt.Errorf("unknown question %q", c.Op) })
	stop()
	return errors.Join(err, <-ended)
}

// system is everything of Switchboard but the media worker, in this process:
// its processor time is the control plane's and NATS's; Redis is a process.
type system struct {
	url     string
	natsURL string
	nats    *standin.NATS
}

func startSystem(b *testing.B) *system {
	b.Helper()
	server, err := standin.StartNATS(standin.NATSOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(server.Close)
	config := controlplane.Default()
	config.Listen = "127.0.0.1:0"
	config.Apps = []controlplane.AppConfig{{ID: benchApp, Name: benchApp, Secrets: []string{benchSecret}}}
	config.NATS.URL = server.ClientURL()
	config.Redis.Addresses = []string{testkit.RealRedis(b).Addr()}
	deps, disconnect, err := controlplane.Connect(config, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(disconnect)
	tier, err := controlplane.New(config, deps)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tier.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	select {
	case <-tier.Ready():
	case <-time.After(20 * time.Second):
		b.Fatal("the control plane is not ready")
	}
	return &system{url: "http://" + tier.Addr(), natsURL: server.ClientURL(), nats: server}
}

// usable waits until the control plane has heard of a worker.
func (s *system) usable(b *testing.B) {
	b.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		answer, err := http.Get(s.url + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ticker.C:
		case <-deadline:
			b.Fatalf("%s/readyz: %v", s.url, err)
		}
	}
}

// server is one measured forwarder with a load that uses it.
type server struct {
	process, load *child
}

// startServer starts the forwarder and its load, connected.
func startServer(b *testing.B, name string) server {
	b.Helper()
	var s server
	url := ""
	if name == stock {
		s.process = start(b, roleStock)
		url = s.process.first.URL
	} else {
		system := startSystem(b)
		s.process = start(b, roleWorker, natsVariable+"="+system.natsURL)
		system.usable(b)
		url = system.url + "/v1"
	}
	s.load = start(b, roleLoad)
	s.load.ask(b, command{Op: opConnect, Server: url, App: benchApp, Secret: benchSecret})
	return s
}

// pair is both servers, by name, each with a publisher of video and audio.
type pair map[string]server

func startPair(b *testing.B) pair {
	b.Helper()
	p := make(pair)
	for _, name := range servers {
		p[name] = startServer(b, name)
		p[name].load.ask(b, command{Op: opPublish, Video: 1, Audio: 1})
	}
	return p
}

func (p pair) leave(b *testing.B) {
	b.Helper()
	for _, s := range p {
		s.load.ask(b, command{Op: opLeave})
	}
}

// connectNATS returns a connection that ends with the benchmark.
func (s *system) connectNATS(b *testing.B) *nats.Conn {
	b.Helper()
	conn, err := s.nats.Connect("stub")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	return conn
}
