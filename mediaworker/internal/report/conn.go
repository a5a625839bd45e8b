package report

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// Conn returns the Bus of a NATS connection, which the caller keeps and closes.
func Conn(nc *nats.Conn) Bus { return conn{nc} }

type conn struct{ nc *nats.Conn }

// Publish implements Bus.
func (c conn) Publish(subject string, data []byte) error {
	// The client would keep the message and send it after the reconnect.
	if !c.nc.IsConnected() {
		return nats.ErrDisconnected
	}
	return c.nc.Publish(subject, data)
}

// Request implements Bus. An error in micro's headers is an error.
func (c conn) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if !c.nc.IsConnected() {
		return nil, nats.ErrDisconnected
	}
	reply, err := c.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	if code := reply.Header.Get(micro.ErrorCodeHeader); code != "" {
		return nil, fmt.Errorf("%s: %s: %s", subject, code, reply.Header.Get(micro.ErrorHeader))
	}
	return reply.Data, nil
}

// Flush implements Bus.
func (c conn) Flush(ctx context.Context) error { return c.nc.FlushWithContext(ctx) }
