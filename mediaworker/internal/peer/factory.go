package peer

import (
	"errors"

	"go.uber.org/zap"

	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
)

// Config is what all peers of a worker share.
type Config struct {
	// Mux carries every peer's packets; the caller closes it after the last peer.
	Mux *netio.Mux
	// Candidates are the addresses that clients are told to send to.
	Candidates []sdpx.Candidate
	// Log receives what happens to transports, once each.
	Log *zap.Logger
}

// Factory makes peers. Safe for concurrent use.
type Factory struct{ config Config }

// NewFactory checks the configuration.
func NewFactory(config Config) (*Factory, error) {
	if config.Mux == nil {
		return nil, errors.New("peer: no mux")
	}
	return &Factory{config: config}, nil
}
