// Package command answers the worker's NATS subjects: it decodes a message,
// hands it to the session registry or the worker, and encodes the outcome. It
// decides nothing.
//
// Guarantees: a subscription's goroutine never waits, so that no command holds
// up another session's; commands in flight are bounded (WorkerBusy beyond);
// every request gets exactly one reply, within its budget as long as the
// registry honours the context; a panic while serving one command fails that
// command alone.
package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"switchboard/mediaworker/internal/session"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

const (
	// maxInFlight bounds the commands being served: with joins that wait for a
	// publisher's first packet, some seconds' worth of them.
	maxInFlight = 4096
	// pendingMessages and pendingBytes bound what waits before a subscription's
	// goroutine; beyond, NATS drops and the sender runs into its deadline.
	pendingMessages = 8192
	pendingBytes    = 64 << 20
)

// Registry is the worker's sessions. Its methods are safe for concurrent use.
type Registry interface {
	// Do executes a command in its session and returns a *wire.Reply or, for
	// wire.OpGet, a *wire.SessionState. ctx carries the budget.
	Do(ctx context.Context, cmd session.Command) (wire.Message, error)
	// Locate returns the rev of a session held, or false.
	Locate(app ids.AppID, session ids.SessionID) (rev uint64, ok bool)
}

// Worker is what an operator's and the control planes' commands act on. Its
// methods return at once and are safe for concurrent use.
type Worker interface {
	// Drain stops taking new sessions; timeout 0 means the configured one.
	Drain(timeout time.Duration)
	Snapshot() wire.Snapshot
	// Beat asks for a heartbeat, Announce for all sessions to be announced.
	Beat()
	Announce()
}

// Config is what Serve needs; every field but MaxInFlight is required.
type Config struct {
	// Conn stays the caller's and outlives the Server.
	Conn     *nats.Conn
	ID       ids.WorkerID
	Label    string
	Region   string
	Registry Registry
	Worker   Worker
	Log      *zap.Logger
	// MaxInFlight bounds the commands being served; 0 means 4096.
	MaxInFlight int
}

// Server answers a worker's subjects from Serve to Close. Its methods may be
// called from any goroutine.
type Server struct {
	config  Config
	service micro.Service
	stats   map[string]*endpointStats // by endpoint name; read-only after Serve
	slots   chan struct{}             // one element per command in flight
	ctx     context.Context           // ends with Close: commands in flight are cut short
	cancel  context.CancelFunc

	mu      sync.Mutex // guards closing; taken before inFlight grows
	closing bool
	// inFlight counts the goroutines of serve.
	inFlight sync.WaitGroup
}

// Serve subscribes. The worker is listed as a NATS micro service named
// wire.ServiceName. Every subject is the worker's own, or is heard by all
// workers, so that no queue group is used.
func Serve(config Config) (*Server, error) {
	if config.MaxInFlight == 0 {
		config.MaxInFlight = maxInFlight
	}
	s := &Server{config: config, stats: make(map[string]*endpointStats), slots: make(chan struct{}, config.MaxInFlight)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	service, err := micro.AddService(config.Conn, micro.Config{
		Name:               wire.ServiceName,
		Version:            wire.ServiceVersion,
		Description:        "Switchboard media worker",
		Metadata:           map[string]string{"worker": string(config.ID), "label": config.Label, "region": config.Region},
		QueueGroupDisabled: true,
		StatsHandler:       s.endpointData,
		ErrorHandler: func(_ micro.Service, err *micro.NATSError) {
			config.Log.Warn("subscription error", zap.String("subject", err.Subject), zap.Error(err))
		},
	})
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("register the NATS service: %w", err)
	}
	s.service = service
	if err := s.subscribe(); err != nil {
		return nil, errors.Join(err, s.Close(s.ctx))
	}
	return s, nil
}

// subscribe adds every endpoint and waits until the server knows them, so that
// a command sent after it finds a responder.
func (s *Server) subscribe() error {
	type endpoint struct {
		name, subject string
		handler       micro.HandlerFunc
	}
	id := s.config.ID
	endpoints := make([]endpoint, 0, 4+len(wire.Operations))
	endpoints = append(endpoints,
		endpoint{"locate", wire.SubjectLocate, s.locate},
		endpoint{"workers", wire.SubjectWorkers, s.notice},
		endpoint{"drain", wire.ControlSubject(id, "drain"), s.drain},
		endpoint{"snapshot", wire.ControlSubject(id, "snapshot"), s.snapshot})
	for _, op := range wire.Operations {
		stats := &endpointStats{}
		s.stats[string(op)] = stats
		endpoints = append(endpoints, endpoint{string(op), wire.WorkerSubject(id, op), func(r micro.Request) { s.command(op, stats, r) }})
	}
	for _, e := range endpoints {
		err := s.service.AddEndpoint(e.name, s.recovered(e.handler), micro.WithEndpointSubject(e.subject),
			micro.WithEndpointPendingLimits(pendingMessages, pendingBytes))
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", e.subject, err)
		}
	}
	// A connection that is lost here subscribes again by itself when it is back.
	if err := s.config.Conn.Flush(); err != nil && s.config.Conn.IsClosed() {
		return fmt.Errorf("subscribe: %w", err)
	}
	return nil
}

// recovered keeps a defect in a handler from ending the worker.
func (s *Server) recovered(h micro.HandlerFunc) micro.HandlerFunc {
	return func(r micro.Request) {
		defer func() {
			if p := recover(); p != nil {
				s.logPanic(r.Subject(), p)
				s.respondFault(r.Reply(), internal)
			}
		}()
		h(r)
	}
}

// Close takes no more commands, ends those in flight and waits, until ctx ends
// at the latest, for their replies to be sent.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	err := s.service.Stop()
	s.cancel()
	done := make(chan struct{})
	go func() { s.inFlight.Wait(); close(done) }()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		return errors.Join(err, fmt.Errorf("commands in flight did not end: %w", ctx.Err()))
	}
}

// oneLine makes text safe for a NATS header value.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
