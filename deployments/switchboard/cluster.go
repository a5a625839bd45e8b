package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/nats-io/nats.go"

	"switchboard/deployments/switchboard/demo"
	"switchboard/shared/wire"
)

// The size of a cluster.
const (
	clusterControlPlanes = 2
	clusterWorkers       = 3
)

// clusterCommand runs the production binaries as processes on loopback.
type clusterCommand struct {
	Output   string `default:"text" enum:"text,json" env:"SWITCHBOARD_OUTPUT" placeholder:"text|json" help:"What to print when ready: a block for people, or one line of JSON. Default: ${default}."`
	LogLevel string `default:"info" enum:"debug,info,warn,error" env:"SWITCHBOARD_LOG_LEVEL" placeholder:"LEVEL" help:"Least severe level to log: debug, info, warn or error. Default: ${default}."`
	app
}

// Run serves until it is told to stop.
func (c clusterCommand) Run(s stopping) error { return c.run(s, os.Stdout) }

func (c clusterCommand) run(stop stopping, out io.Writer) error {
	ctx := stop.gently
	var err error
	if c.app, err = c.orRandom(); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "switchboard-cluster-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	programs, err := findPrograms(ctx, scratch)
	if err != nil {
		return err
	}
	s := supervisor{log: os.Stderr, atOnce: stop.atOnce.Done()}
	defer s.stopAll()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	r, err := c.start(starting, &s, programs, scratch)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	pages, err := c.servePages(r)
	if err != nil {
		return err
	}
	defer pages.Close()
	r.DemoURL = "http://" + pages.Addr + "/demo/echo"
	if err := r.write(out, c.Output); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// start starts every process and waits until all of them serve.
func (c clusterCommand) start(ctx context.Context, s *supervisor, programs map[string]string, scratch string) (ready, error) {
	ports, err := freePorts(2 + clusterControlPlanes)
	if err != nil {
		return ready{}, err
	}
	redisPort, natsPort, httpPorts := strconv.Itoa(ports[0]), strconv.Itoa(ports[1]), ports[2:]
	if _, err := s.start("redis-server", programs["redis-server"], nil,
		"--port", redisPort, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", scratch); err != nil {
		return ready{}, err
	}
	if _, err := s.start("nats-server", programs["nats-server"], nil, "--addr", "127.0.0.1", "--port", natsPort); err != nil {
		return ready{}, err
	}
	bus, err := dialNATS(ctx, "nats://127.0.0.1:"+natsPort)
	if err != nil {
		return ready{}, err
	}
	defer bus.Close()
	beats := make(chan *nats.Msg, 64)
	if _, err := bus.ChanSubscribe(wire.SubjectHeartbeats, beats); err != nil {
		return ready{}, err
	}
	apps, err := json.Marshal([]map[string]any{{"id": c.AppID, "name": "cluster", "secrets": []string{c.AppSecret}}})
	if err != nil {
		return ready{}, err
	}
	common := []string{"SWITCHBOARD_NATS_URL=nats://127.0.0.1:" + natsPort, "SWITCHBOARD_LOG_LEVEL=" + c.LogLevel}
	if isatty.IsTerminal(os.Stderr.Fd()) { // which their pipes are not
		common = append(common, "SWITCHBOARD_LOG_FORMAT=console")
	}

	pids := make(map[string]int)
	for i := range clusterWorkers {
		label := "w" + strconv.Itoa(i+1)
		if pids[label], err = s.start(label, programs["mediaworker"], common,
			"--label", label, "--udp", "127.0.0.1:0", "--drain-timeout", "1s"); err != nil {
			return ready{}, err
		}
	}
	r := ready{AppID: c.AppID, AppSecret: c.AppSecret}
	environment := append([]string{"SWITCHBOARD_APPS=" + string(apps), "SWITCHBOARD_REDIS_ADDRESSES=127.0.0.1:" + redisPort}, common...)
	for i, port := range httpPorts {
		listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if _, err := s.start("cp"+strconv.Itoa(i+1), programs["controlplane"], environment, "--listen", listen); err != nil {
			return ready{}, err
		}
		r.APIBaseURLs = append(r.APIBaseURLs, "http://"+listen+"/v1")
	}
	r.APIBaseURL = r.APIBaseURLs[0]
	if r.Workers, err = awaitWorkers(ctx, beats, pids); err != nil {
		return ready{}, err
	}
	for _, port := range httpPorts {
		if err := awaitReady(ctx, "http://127.0.0.1:"+strconv.Itoa(port)); err != nil {
			return ready{}, err
		}
	}
	r.Processes = s.list()
	return r, nil
}

// awaitWorkers reads heartbeats until every worker of pids, by label, was heard.
func awaitWorkers(ctx context.Context, beats <-chan *nats.Msg, pids map[string]int) ([]readyWorker, error) {
	heard := make(map[string]readyWorker)
	for len(heard) < len(pids) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d workers were heard: %w", len(heard), len(pids), ctx.Err())
		case m := <-beats:
			var h wire.Heartbeat
			if err := wire.Decode(m.Data, &h); err != nil {
				return nil, err
			}
			if pid, ours := pids[h.Label]; ours && len(h.MediaAddresses) > 0 {
				heard[h.Label] = readyWorker{ID: h.Worker, UDPPort: portOf(h.MediaAddresses[0]), PID: pid}
			}
		}
	}
	var list []readyWorker
	for i := range len(pids) {
		list = append(list, heard["w"+strconv.Itoa(i+1)])
	}
	return list, nil
}

// dialNATS connects once the server accepts connections.
func dialNATS(ctx context.Context, url string) (*nats.Conn, error) {
	for {
		conn, err := nats.Connect(url)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", url, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// servePages serves the demo pages, which the production control plane does
// not have. They call the first control plane.
func (c clusterCommand) servePages(r ready) (*http.Server, error) {
	handler, err := demo.Handler(demo.Options{AppID: c.AppID, AppSecret: c.AppSecret, APIBaseURL: r.APIBaseURL})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Addr: listener.Addr().String(), Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends with Close
	return server, nil
}

// freePorts returns n different loopback TCP ports that are free now. Another
// process may take one before it is used; the start then fails and says so.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // only at the end, so that all differ
		tcp, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			return nil, errors.New("a TCP listener without a TCP address")
		}
		ports = append(ports, tcp.Port)
	}
	return ports, nil
}
