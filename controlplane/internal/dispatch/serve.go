package dispatch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"switchboard/shared/fault"
	"switchboard/shared/wire"
)

// serveTimeout bounds one request of a worker to the directory.
const serveTimeout = 2 * time.Second

// Leases is what workers may do in the directory.
type Leases interface {
	// Renew extends leases and says what the directory lacks.
	Renew(context.Context, *wire.Renew) (*wire.RenewReply, error)
	// Announce restores sessions.
	Announce(context.Context, *wire.Announce) (*wire.AnnounceReply, error)
}

// Serve answers the workers' directory subjects from leases until Close, in the
// queue group of the control planes. A directory that fails answers
// StoreUnavailable; the worker asks again later. Call it once.
func (c *Client) Serve(leases Leases) error {
	for subject, handle := range map[string]nats.MsgHandler{
		wire.SubjectDirectoryRenew: func(msg *nats.Msg) {
			var r wire.Renew
			serve(c, msg, &r, func(ctx context.Context) (*wire.RenewReply, error) { return leases.Renew(ctx, &r) })
		},
		wire.SubjectDirectoryAnnounce: func(msg *nats.Msg) {
			var a wire.Announce
			serve(c, msg, &a, func(ctx context.Context) (*wire.AnnounceReply, error) { return leases.Announce(ctx, &a) })
		},
	} {
		if err := c.subscribe(c.nc.QueueSubscribe(subject, wire.QueueControlPlane, handle)); err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	return c.nc.FlushTimeout(serveTimeout)
}

// serve answers one request. It runs on the subscription's goroutine: each of
// the two subjects is served one request at a time, of up to wire.MaxLeases
// sessions in one round trip to the store.
func serve[R any](c *Client, msg *nats.Msg, request wire.Message, answer func(context.Context) (*R, error)) {
	if err := wire.Decode(msg.Data, request); err != nil {
		c.respondFault(msg, fault.DecodingError.New("%v", err))
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, serveTimeout)
	defer cancel()
	reply, err := answer(ctx)
	if err != nil {
		c.log.Warn("directory request of a worker failed", zap.String("subject", msg.Subject), zap.Error(err))
		c.respondFault(msg, fault.StoreUnavailable.New(""))
		return
	}
	data, err := wire.Encode(reply)
	if err != nil {
		c.log.Error("encode reply", zap.String("subject", msg.Subject), zap.Error(err))
		c.respondFault(msg, fault.Internal.New(""))
		return
	}
	c.respond(msg, &nats.Msg{Data: data})
}

func (c *Client) respondFault(msg *nats.Msg, f *fault.Fault) {
	data, err := wire.Encode(f)
	if err != nil {
		c.log.Error("encode fault", zap.Error(err))
		return
	}
	header := nats.Header{}
	header.Set(micro.ErrorCodeHeader, f.Code)
	header.Set(micro.ErrorHeader, strings.Join(strings.Fields(f.Description), " "))
	c.respond(msg, &nats.Msg{Header: header, Data: data})
}

func (c *Client) respond(request, reply *nats.Msg) {
	if err := request.RespondMsg(reply); err != nil {
		c.log.Warn("reply to a worker", zap.String("subject", request.Subject), zap.Error(err))
	}
}
