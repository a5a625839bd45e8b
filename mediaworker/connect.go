package mediaworker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/shared/natsconn"
)

// awaitNATS waits for the connection, without which no session can come, and
// refuses a server that would cut messages.
func (w *Worker) awaitNATS(ctx context.Context) error {
	nc := w.deps.NATS
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	if !nc.IsConnected() && !nc.IsClosed() {
		w.deps.Log.Info("waiting for NATS", zap.Strings("servers", nc.Servers()))
		select {
		case <-changed:
		case <-w.drains: // there is nothing to drain
			return errStopped
		case <-ctx.Done():
			return errStopped
		}
	}
	if nc.IsClosed() {
		return fmt.Errorf("nats: %w", nats.ErrConnectionClosed)
	}
	return natsconn.CheckMaxPayload(nc)
}

// watchNATS tells the control planes at once that the worker is back.
func (p *parts) watchNATS(ctx context.Context) {
	nc, log := p.worker.deps.NATS, p.worker.deps.Log
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	for {
		select {
		case <-ctx.Done():
			return
		case status := <-changed:
			if status == nats.CLOSED {
				log.Error("the NATS connection is closed for good: established media flows on, no command will come")
				return
			}
			if err := natsconn.CheckMaxPayload(nc); err != nil {
				log.Error("large commands will fail", zap.Error(err))
			}
			p.reporter.Beat()
		}
	}
}
