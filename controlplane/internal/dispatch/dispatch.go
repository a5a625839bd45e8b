// Package dispatch speaks NATS to the media workers: it sends them commands,
// knows which of them are alive and how loaded they are, asks them who holds a
// session, and serves the directory to them.
//
// # Guarantees
//
//   - A command is sent again with the same id when an attempt stays without an
//     answer, so that it takes effect once. It never outlives its context.
//   - A command in flight ends at once when its worker says goodbye, leaves NATS
//     or misses its heartbeats, instead of waiting out its budget.
//   - Workers are judged by when their heartbeats arrive here, never by their
//     clocks, and not while this side itself is cut off from NATS.
package dispatch

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/controlplane/internal/placement"
	"switchboard/shared/ids"
	"switchboard/shared/natsconn"
	"switchboard/shared/wire"
)

// sweepEvery is how often workers are checked for missed heartbeats.
const sweepEvery = 250 * time.Millisecond

// Client is a control plane's side of the protocol, from Start to Close. Its
// methods are safe for concurrent use.
type Client struct {
	nc            *nats.Conn
	log           *zap.Logger
	workers       *table
	subscriptions []*nats.Subscription
	// attemptTimeout is how long one attempt of a command waits.
	attemptTimeout time.Duration

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	sweeps sync.WaitGroup // the goroutine of sweep
}

// Start listens for workers on nc, which stays the caller's and must outlive
// the client, and asks all of them for a heartbeat. It fails where NATS would
// not carry the largest message of the protocol.
func Start(nc *nats.Conn, log *zap.Logger) (*Client, error) {
	if err := natsconn.CheckMaxPayload(nc); err != nil {
		return nil, err
	}
	c := &Client{nc: nc, log: log, workers: newTable(), attemptTimeout: attemptTimeout}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if err := c.listen(); err != nil {
		c.Close()
		return nil, err
	}
	c.sweeps.Go(c.sweep)
	return c, nil
}

func (c *Client) listen() error {
	for subject, handle := range map[string]nats.MsgHandler{
		wire.SubjectHeartbeats: c.heartbeat,
		wire.SubjectByes:       c.bye,
	} {
		if err := c.subscribe(c.nc.Subscribe(subject, handle)); err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	if err := c.notify(wire.WorkersNotice{Heartbeat: true}); err != nil {
		return fmt.Errorf("ask for heartbeats: %w", err)
	}
	return nil
}

func (c *Client) subscribe(s *nats.Subscription, err error) error {
	if err == nil {
		c.subscriptions = append(c.subscriptions, s)
	}
	return err
}

// Close stops listening and ends commands in flight as if their workers were
// lost. The connection stays open.
func (c *Client) Close() {
	c.cancel()
	for _, s := range c.subscriptions {
		if err := s.Unsubscribe(); err != nil && !c.nc.IsClosed() {
			c.log.Warn("unsubscribe", zap.String("subject", s.Subject), zap.Error(err))
		}
	}
	c.sweeps.Wait()
	c.workers.close()
}

// Cluster returns the workers as their last heartbeats described them, the dead
// left out. Membership is exact; loads may be a tenth of a second old.
func (c *Client) Cluster() placement.Cluster { return c.workers.cluster(time.Now()) }

// Dead reports whether a worker is known to be gone: it said goodbye or missed
// its heartbeats. A worker never heard of counts as dead when it stays silent
// from the first time it is asked for.
func (c *Client) Dead(w ids.WorkerID) bool {
	return c.workers.life(w, time.Now()).Err() != nil
}

// RequestAnnouncements asks every worker to announce its sessions.
func (c *Client) RequestAnnouncements() {
	if err := c.notify(wire.WorkersNotice{Announce: true}); err != nil {
		c.log.Warn("ask workers to announce their sessions", zap.Error(err))
	}
}

// Connected reports whether NATS is reachable now.
func (c *Client) Connected() bool { return c.nc.IsConnected() }

func (c *Client) notify(n wire.WorkersNotice) error {
	data, err := wire.Encode(n)
	if err != nil {
		return err
	}
	return c.nc.Publish(wire.SubjectWorkers, data)
}

func (c *Client) heartbeat(msg *nats.Msg) {
	var h wire.Heartbeat
	if err := wire.Decode(msg.Data, &h); err != nil {
		c.log.Warn("heartbeat ignored", zap.String("subject", msg.Subject), zap.Error(err))
		return
	}
	if sender, err := wire.WorkerOfEvent(msg.Subject); err != nil || sender != h.Worker {
		c.log.Warn("heartbeat ignored: it names another worker", zap.String("subject", msg.Subject), zap.String("worker", string(h.Worker)))
		return
	}
	if c.workers.beat(&h, time.Now()) {
		c.log.Info("worker joined", zap.String("worker", string(h.Worker)), zap.String("region", h.Region))
	}
}

func (c *Client) bye(msg *nats.Msg) {
	worker, err := wire.WorkerOfEvent(msg.Subject)
	if err != nil {
		c.log.Warn("goodbye ignored", zap.String("subject", msg.Subject), zap.Error(err))
		return
	}
	var b wire.Bye
	if err := wire.Decode(msg.Data, &b); err != nil {
		b.Reason = "not told"
	}
	c.log.Info("worker left", zap.String("worker", string(worker)), zap.String("reason", b.Reason))
	c.workers.bye(worker, time.Now())
}

// sweep declares silent workers dead until Close. While this side has no
// connection the silence is its own; heartbeats are asked for when it is back.
func (c *Client) sweep() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	cutOff := false
	for {
		select {
		case <-c.ctx.Done():
			return
		case now := <-ticker.C:
			if !c.nc.IsConnected() {
				cutOff = true
				c.workers.excuse(now)
				continue
			}
			if cutOff {
				cutOff = false
				if err := c.notify(wire.WorkersNotice{Heartbeat: true}); err != nil {
					c.log.Warn("ask for heartbeats", zap.Error(err))
				}
			}
			for _, w := range c.workers.sweep(now) {
				c.log.Warn("worker lost: no heartbeat", zap.String("worker", string(w)), zap.Duration("silence", placement.DeadAfter))
			}
		}
	}
}
