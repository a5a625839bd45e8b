// Command mediaworker runs one media worker until it is told to stop: the
// first SIGTERM or SIGINT drains it, a second one stops it at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"

	"switchboard/mediaworker"
	"switchboard/shared/config"
	"switchboard/shared/natsconn"
	"switchboard/shared/obs"
)

const (
	name        = "mediaworker"
	description = "forwards the media of the sessions that control planes place on it"
)

// settings is everything that can be set.
type settings struct {
	mediaworker.Config `yaml:",inline"`
	Log                obs.LogConfig `yaml:"log"`
}

// Validate implements config.Validator.
func (s settings) Validate() error { return errors.Join(s.Config.Validate(), s.Log.Validate()) }

func main() {
	s := settings{Config: mediaworker.Default()}
	err := config.Parse(name, description, &s, os.Args[1:])
	if err == nil {
		err = run(s)
	}
	if err != nil && !errors.Is(err, config.ErrDone) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func run(s settings) error {
	log, err := obs.NewLogger(s.Log)
	if err != nil {
		return err
	}
	defer log.Sync()
	nc, err := natsconn.Connect(s.NATS, name+" "+s.Label, log)
	if err != nil {
		return err
	}
	defer nc.Close()
	worker, err := mediaworker.New(s.Config, mediaworker.Deps{NATS: nc, Log: log})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		log.Info("draining; the same signal again stops at once", zap.Stringer("signal", <-signals))
		worker.Drain()
		log.Info("stopping at once", zap.Stringer("signal", <-signals))
		stop()
	}()
	return worker.Run(ctx)
}
