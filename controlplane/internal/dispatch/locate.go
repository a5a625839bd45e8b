package dispatch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"switchboard/shared/wire"
)

// locateTimeout is how long workers are given to say that they hold a session:
// one round trip to the farthest region and a busy worker's delay.
const locateTimeout = 250 * time.Millisecond

// Locate asks all workers who holds a session and returns the first answer.
// found is false when nobody claims it in time. An error means that the
// question could not be asked.
func (c *Client) Locate(ctx context.Context, ref wire.SessionRef) (held wire.Located, found bool, err error) {
	data, err := wire.Encode(wire.Locate{SessionRef: ref})
	if err != nil {
		return wire.Located{}, false, err
	}
	if !c.nc.IsConnected() {
		return wire.Located{}, false, fmt.Errorf("locate: %w", nats.ErrDisconnected)
	}
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	msg, err := c.nc.RequestWithContext(ctx, wire.SubjectLocate, data)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		return wire.Located{}, false, nil
	case err != nil:
		return wire.Located{}, false, fmt.Errorf("locate: %w", err)
	}
	if err := decodeReply(msg, &held); err != nil {
		return wire.Located{}, false, fmt.Errorf("locate: %w", err)
	}
	return held, held.SessionRef == ref, nil
}
