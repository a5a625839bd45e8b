package mediaworker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/command"
	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/netio"
	"switchboard/mediaworker/internal/peer"
	"switchboard/mediaworker/internal/report"
	"switchboard/mediaworker/internal/session"
	"switchboard/mediaworker/internal/switchboard"
	"switchboard/shared/natsconn"
	"switchboard/shared/wire"
)

// parts is a worker that runs. Its methods are safe for concurrent use.
type parts struct {
	worker    *Worker
	addresses []string
	mux       *netio.Mux
	registry  *session.Registry
	commands  *command.Server
	reporter  *report.Reporter

	cancel     context.CancelFunc // ends the background goroutines
	background sync.WaitGroup     // the reporter and the watch over NATS
}

// start opens sockets first, so that a wrong address fails at once, and takes
// commands last. On an error nothing is left open.
func (w *Worker) start(ctx context.Context) (_ *parts, err error) {
	log, nc := w.deps.Log, w.deps.NATS
	p := &parts{worker: w}
	p.mux, err = netio.Listen(netio.Config{UDP: w.config.UDP, TCP: w.config.ICETCP, ReadBuffer: w.config.ReceiveBuffer})
	if err != nil {
		return nil, fmt.Errorf("udp: %w", err)
	}
	defer func() {
		if err != nil {
			_ = p.mux.Close() // the error that counts is err
		}
	}()
	warnOfSmallBuffers(log, p.mux.Buffers())
	candidates, err := w.candidates(ctx, p.mux)
	if err != nil {
		return nil, err
	}
	p.addresses = hostPorts(candidates)
	if err := w.awaitNATS(ctx); err != nil {
		return nil, err
	}
	factory, err := peer.NewFactory(peer.Config{Mux: p.mux, Candidates: candidates, Log: log})
	if err != nil {
		return nil, err
	}
	p.registry = session.NewRegistry(session.Deps{
		Peers: factory, Switchboard: switchboard.New(switchboard.Config{Worker: w.id}),
		Worker: w.id, Usage: &forward.Ledger{}, Log: log, MaxSessions: w.config.MaxSessions,
	})
	p.reporter = report.New(report.Config{Bus: report.Conn(nc), Worker: w.id, Sessions: p.registry, Load: p.load, Log: log})
	w.parts.Store(p)
	p.commands, err = command.Serve(command.Config{
		Conn: nc, ID: w.id, Label: w.config.Label, Region: w.config.Region, Registry: p.registry, Worker: p, Log: log,
	})
	if err != nil {
		p.registry.Close()
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.background.Go(func() { p.reporter.Run(running) })
	p.background.Go(func() { p.watchNATS(running) })
	log.Info("worker ready", zap.String("label", w.config.Label), zap.Stringers("udp", p.mux.Addresses()),
		zap.Strings("advertised", p.addresses), zap.Bool("iceTcp", p.mux.TCPMux() != nil), zap.String("nats", natsconn.Server(nc)))
	close(w.ready)
	return p, nil
}

// stop is called once. No command is taken after the goodbye, and no heartbeat
// is sent after it.
func (p *parts) stop(reason string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	log := p.worker.deps.Log
	if err := p.commands.Close(ctx); err != nil {
		log.Warn("commands did not end in order", zap.Error(err))
	}
	p.cancel()
	p.background.Wait()
	p.reporter.Bye(reason)
	p.registry.Close()
	if err := p.mux.Close(); err != nil {
		log.Warn("media sockets did not close in order", zap.Error(err))
	}
}

// Snapshot implements command.Worker.
func (p *parts) Snapshot() wire.Snapshot { return p.snapshot() }

// Drain implements command.Worker.
func (p *parts) Drain(timeout time.Duration) { p.worker.drain(timeout) }

// Beat implements command.Worker.
func (p *parts) Beat() { p.reporter.Beat() }

// Announce implements command.Worker.
func (p *parts) Announce() { p.reporter.Announce() }
