package cluster

import (
	"context"
	"errors"

	"switchboard/shared/standin"
)

// server is NATS or Redis as a process.
type server struct {
	dir, at string
	run     func(ctx context.Context, dir, address string) (*process, error)
	process *process
}

func (s *server) address() string { return s.at }

func (s *server) start(ctx context.Context) error {
	var err error
	s.process, err = s.run(ctx, s.dir, s.at)
	return err
}

func (s *server) stop() error {
	if s.process == nil {
		return nil
	}
	return s.process.kill()
}

// embeddedNATS is the real nats-server in this process.
type embeddedNATS struct {
	at     string
	server *standin.NATS
}

func (n *embeddedNATS) address() string { return n.at }

func (n *embeddedNATS) start(context.Context) error {
	var err error
	n.server, err = standin.StartNATS(standin.NATSOptions{Listen: n.at})
	return err
}

func (n *embeddedNATS) stop() error {
	if n.server != nil {
		n.server.Close()
	}
	return nil
}

// redisStandIn is the stand-in for Redis in this process.
type redisStandIn struct{ server *standin.Redis }

func (r *redisStandIn) address() string { return r.server.Addr() }

func (r *redisStandIn) start(context.Context) error {
	if r.server != nil {
		return errors.New("the Redis stand-in cannot be restarted: use RealRedis")
	}
	var err error
	r.server, err = standin.StartRedis()
	return err
}

func (r *redisStandIn) stop() error {
	if r.server != nil {
		r.server.Close()
	}
	return nil
}
