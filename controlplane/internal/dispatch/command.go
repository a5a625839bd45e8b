package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/obs"
	"switchboard/shared/wire"
)

const (
	// attemptTimeout is how long one attempt waits. A lost message costs that
	// much; a worker that takes longer has the next attempt join the first.
	attemptTimeout = 2 * time.Second
	// reconnectPoll is how often a command looks whether NATS is back.
	reconnectPoll = 20 * time.Millisecond
)

// Command is one session command to one worker.
type Command struct {
	Worker    ids.WorkerID
	Operation wire.Operation
	// ID makes repetitions of the command one command.
	ID      ids.CommandID
	Message wire.Message
}

// Do sends a command and reads the worker's answer into reply. ctx must have a
// deadline, which is the command's budget. The error is a fault of the worker's,
// or
//
//   - fault.WorkerLost: the worker is gone, or nobody listens on its subject;
//     the command may have taken effect in the first case only;
//   - fault.Timeout: the budget ran out; the command may have taken effect;
//   - fault.PayloadTooLarge: NATS does not carry it;
//   - ctx's error where it was cancelled.
func (c *Client) Do(ctx context.Context, cmd Command, reply wire.Message) error {
	data, err := wire.Encode(cmd.Message)
	if err != nil {
		return fmt.Errorf("encode %s: %w", cmd.Operation, err)
	}
	life := c.workers.life(cmd.Worker, time.Now())
	for {
		answer, err := c.attempt(ctx, life, cmd, data)
		switch {
		case err == nil:
			return decodeReply(answer, reply)
		case life.Err() != nil, errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrConnectionClosed):
			return fmt.Errorf("worker %s: %w", cmd.Worker, fault.WorkerLost.New(""))
		case errors.Is(err, nats.ErrMaxPayload):
			return fault.PayloadTooLarge.New("")
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("worker %s: %w", cmd.Worker, fault.Timeout.New(""))
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrDisconnected):
			return fmt.Errorf("%s to worker %s: %w", cmd.Operation, cmd.Worker, err)
		}
		c.log.Warn("no answer yet, asking again", zap.String("worker", string(cmd.Worker)),
			zap.String("operation", string(cmd.Operation)), zap.String("command", string(cmd.ID)))
	}
}

// attempt sends the command once and waits for an answer until the attempt's
// time, the budget or the worker's life ends.
func (c *Client) attempt(ctx, life context.Context, cmd Command, data []byte) (*nats.Msg, error) {
	attempt, cancel := context.WithTimeout(ctx, c.attemptTimeout)
	defer cancel()
	defer context.AfterFunc(life, cancel)()
	if err := c.awaitConnection(attempt); err != nil {
		return nil, err
	}
	msg := nats.NewMsg(wire.WorkerSubject(cmd.Worker, cmd.Operation))
	msg.Data = data
	msg.Header.Set(wire.HeaderContentType, wire.ContentTypeJSON)
	msg.Header.Set(wire.HeaderCommandID, string(cmd.ID))
	if deadline, ok := ctx.Deadline(); ok {
		// Rounded up: a budget of 0 would say that the time is over.
		budget := time.Until(deadline) + time.Millisecond - 1
		msg.Header.Set(wire.HeaderBudget, strconv.FormatInt(budget.Milliseconds(), 10))
	}
	if trace, ok := obs.TraceFrom(ctx); ok {
		msg.Header.Set(wire.HeaderTrace, trace.Child().Header())
	}
	return c.nc.RequestMsgWithContext(attempt, msg)
}

// awaitConnection waits until NATS is reachable. A command must not lie in the
// client's buffer: it would reach the worker when nobody waits for it any more.
func (c *Client) awaitConnection(ctx context.Context) error {
	if c.nc.IsConnected() {
		return nil
	}
	ticker := time.NewTicker(reconnectPoll)
	defer ticker.Stop()
	for !c.nc.IsConnected() {
		if c.nc.IsClosed() {
			return nats.ErrConnectionClosed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}

// decodeReply reads a worker's answer: a fault where the header says so.
func decodeReply(msg *nats.Msg, reply wire.Message) error {
	if code := msg.Header.Get(micro.ErrorCodeHeader); code != "" {
		var f fault.Fault
		if err := json.Unmarshal(msg.Data, &f); err != nil || f.Code == "" {
			return fmt.Errorf("worker failed without a fault: %s %s", code, msg.Header.Get(micro.ErrorHeader))
		}
		return &f
	}
	if err := wire.Decode(msg.Data, reply); err != nil {
		return fmt.Errorf("worker's reply: %w", err)
	}
	return nil
}
