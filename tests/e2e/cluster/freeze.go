package cluster

import (
	"errors"
	"fmt"
	"syscall"

	"switchboard/shared/ids"
)

// FreezeRedis stops Redis as it is: connections stay and are even accepted, but
// nothing is answered. Redis must be a process.
func (c *Cluster) FreezeRedis() error { return c.signalRedis(syscall.SIGSTOP) }

// ThawRedis lets a frozen Redis go on, with its data.
func (c *Cluster) ThawRedis() error { return c.signalRedis(syscall.SIGCONT) }

func (c *Cluster) signalRedis(signal syscall.Signal) error {
	s, ok := c.redis.(*server)
	if !ok {
		return errors.New("the Redis stand-in cannot be frozen: use RealRedis")
	}
	return s.process.signal(signal)
}

// FreezeWorker stops a worker as it is. The workers must be processes.
func (c *Cluster) FreezeWorker(id ids.WorkerID) error { return c.signalWorker(id, syscall.SIGSTOP) }

// ThawWorker lets a frozen worker go on.
func (c *Cluster) ThawWorker(id ids.WorkerID) error { return c.signalWorker(id, syscall.SIGCONT) }

func (c *Cluster) signalWorker(id ids.WorkerID, signal syscall.Signal) error {
	for _, w := range c.workers {
		if p, ok := w.(*workerProcess); ok && p.worker == id {
			return p.signal(signal)
		}
	}
	return fmt.Errorf("no worker process %s", id)
}

func (p *process) signal(signal syscall.Signal) error {
	if err := syscall.Kill(p.pid, signal); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}
