package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// questionTimeout bounds one question to one worker.
const questionTimeout = 5 * time.Second

// observer watches the cluster from outside, over NATS.
type observer struct {
	conn *nats.Conn

	mu      sync.Mutex              // guards workers
	workers map[string]ids.WorkerID // by label, as their heartbeats say
}

func observe(address string) (*observer, error) {
	conn, err := nats.Connect("nats://"+address, nats.Name("e2e"), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		return nil, err
	}
	o := &observer{conn: conn, workers: make(map[string]ids.WorkerID)}
	if _, err := conn.Subscribe(wire.SubjectHeartbeats, o.heard); err != nil {
		conn.Close()
		return nil, err
	}
	return o, conn.Flush()
}

func (o *observer) close() { o.conn.Close() }

func (o *observer) heard(m *nats.Msg) {
	var beat wire.Heartbeat
	if wire.Decode(m.Data, &beat) != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.workers[beat.Label] = beat.Worker
}

// worker returns the id of a label's worker once it was heard.
func (o *observer) worker(label string) (ids.WorkerID, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if id := o.workers[label]; id != "" {
		return id, nil
	}
	return "", fmt.Errorf("no heartbeat of %s", label)
}

func (o *observer) reconnected(ctx context.Context) error {
	return poll(ctx, nil, func() error {
		if !o.conn.IsConnected() {
			return errors.New("NATS is not connected")
		}
		return nil
	})
}

// ask sends one session command to one worker and decodes its reply.
func (c *Cluster) ask(ctx context.Context, w ids.WorkerID, op wire.Operation, body, reply wire.Message) error {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	data, err := wire.Encode(body)
	if err != nil {
		return err
	}
	m := nats.NewMsg(wire.WorkerSubject(w, op))
	m.Data = data
	m.Header.Set(wire.HeaderContentType, wire.ContentTypeJSON)
	m.Header.Set(wire.HeaderCommandID, string(ids.NewCommandID()))
	m.Header.Set(wire.HeaderBudget, fmt.Sprint(questionTimeout.Milliseconds()))
	answer, err := c.NATS().RequestMsgWithContext(ctx, m)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Subject, err)
	}
	if answer.Header.Get("Nats-Service-Error-Code") != "" {
		var f fault.Fault
		if err := json.Unmarshal(answer.Data, &f); err != nil {
			return fmt.Errorf("%s: fault %q: %w", m.Subject, answer.Data, err)
		}
		return &f
	}
	return wire.Decode(answer.Data, reply)
}

// Holders returns every live worker that holds a session, and what each says
// of it.
func (c *Cluster) Holders(ctx context.Context, session string) ([]wire.SessionState, error) {
	var holders []wire.SessionState
	for _, w := range c.Workers() {
		var state wire.SessionState
		err := c.ask(ctx, w, wire.OpGet, &wire.Get{SessionRef: ref(session)}, &state)
		switch {
		case fault.SessionGone.Is(err):
		case err != nil:
			return nil, err
		default:
			holders = append(holders, state)
		}
	}
	return holders, nil
}

// Owner returns the one worker that holds a session; any other number is an error.
func (c *Cluster) Owner(ctx context.Context, session string) (ids.WorkerID, error) {
	holders, err := c.Holders(ctx, session)
	if err != nil {
		return "", err
	}
	if len(holders) != 1 {
		return "", fmt.Errorf("session %s is held by %d workers, want 1: %+v", session, len(holders), holders)
	}
	return holders[0].Worker, nil
}

// End closes a session on a worker, as the API does when it cleans up.
func (c *Cluster) End(ctx context.Context, w ids.WorkerID, session string) error {
	var reply wire.Reply
	return c.ask(ctx, w, wire.OpClose, &wire.Close{SessionRef: ref(session)}, &reply)
}

// Snapshot returns a worker's counters.
func (c *Cluster) Snapshot(ctx context.Context, w ids.WorkerID) (wire.Snapshot, error) {
	var s wire.Snapshot
	answer, err := c.NATS().RequestWithContext(ctx, wire.ControlSubject(w, "snapshot"), nil)
	if err != nil {
		return s, err
	}
	return s, wire.Decode(answer.Data, &s)
}

// FlushRedis empties Redis.
func (c *Cluster) FlushRedis(ctx context.Context) error {
	client := redis.NewClient(&redis.Options{Addr: c.redis.address()})
	return errors.Join(client.FlushAll(ctx).Err(), client.Close())
}

func ref(session string) wire.SessionRef {
	return wire.SessionRef{App: App, Session: ids.SessionID(session)}
}
