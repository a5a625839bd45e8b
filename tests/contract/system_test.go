package contract_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"switchboard/controlplane"
	"switchboard/mediaworker"
	"switchboard/shared/natsconn"
	"switchboard/shared/obs"
	"switchboard/shared/standin"
)

// The Apps of the system.
const (
	app, secret           = "contract", "a secret of the first App"
	otherApp, otherSecret = "neighbour", "a secret of the second App"
)

// patience bounds every wait for the system; it is never used up when all works.
const patience = 20 * time.Second

// base is the address of the running system's API, without a path; bus is its
// NATS server.
var base, bus string

func TestMain(m *testing.M) {
	code, err := withSystem(m.Run)
	if err == nil {
		err = goleak.Find()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// withSystem starts the system, runs the tests and stops it.
func withSystem(tests func() int) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log, err := obs.NewLogger(obs.LogConfig{Level: "error", Format: "console"})
	if err != nil {
		return 1, err
	}
	server, err := standin.StartNATS(standin.NATSOptions{Listen: "127.0.0.1:0"})
	if err != nil {
		return 1, err
	}
	defer server.Close()
	bus = server.ClientURL()
	store, err := standin.StartRedis()
	if err != nil {
		return 1, err
	}
	defer store.Close()

	worker, endWorker, err := startWorker(ctx, log)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, endWorker()) }()
	control, endControl, err := startControlPlane(ctx, store.Addr(), log)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, endControl()) }()
	for _, ready := range []<-chan struct{}{worker.Ready(), control.Ready()} {
		select {
		case <-ready:
		case <-time.After(patience):
			return 1, errors.New("the system did not start")
		}
	}
	base = "http://" + control.Addr()
	if err := serving(ctx); err != nil {
		return 1, err
	}
	defer http.DefaultClient.CloseIdleConnections()
	return tests(), nil
}

func startWorker(ctx context.Context, log *zap.Logger) (*mediaworker.Worker, func() error, error) {
	config := mediaworker.Default()
	config.Label = "contract"
	config.UDP, config.Advertise = []string{"127.0.0.1:0"}, []string{"127.0.0.1"}
	config.NATS.URL = bus
	conn, err := natsconn.Connect(config.NATS, config.Label, log)
	if err != nil {
		return nil, nil, err
	}
	tier, err := mediaworker.New(config, mediaworker.Deps{NATS: conn, Log: log})
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return tier, run(ctx, tier.Run, conn.Close), nil
}

func startControlPlane(ctx context.Context, store string, log *zap.Logger) (*controlplane.ControlPlane, func() error, error) {
	config := controlplane.Default()
	config.Listen = "127.0.0.1:0"
	config.Apps = []controlplane.AppConfig{{ID: app, Secrets: []string{secret}}, {ID: otherApp, Secrets: []string{otherSecret}}}
	config.NATS.URL = bus
	config.Redis.Addresses = []string{store}
	deps, disconnect, err := controlplane.Connect(config, log)
	if err != nil {
		return nil, nil, err
	}
	tier, err := controlplane.New(config, deps)
	if err != nil {
		disconnect()
		return nil, nil, err
	}
	return tier, run(ctx, tier.Run, disconnect), nil
}

// run runs a tier until the returned function is called, which waits for its end.
func run(ctx context.Context, tier func(context.Context) error, after func()) func() error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- tier(ctx) }()
	return func() error {
		cancel()
		err := <-done
		after()
		return err
	}
}

// serving waits until the control plane knows the worker.
func serving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode == http.StatusOK {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not ready: HTTP %d", response.StatusCode)
		}
	}
}
