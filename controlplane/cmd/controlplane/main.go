// Command controlplane answers the HTTP API until it is told to stop by SIGTERM
// or SIGINT; it then finishes the calls in flight. A second signal kills it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"switchboard/controlplane"
	"switchboard/shared/config"
	"switchboard/shared/obs"
)

const (
	name        = "controlplane"
	description = "answers the HTTP API and places sessions on media workers"
)

// settings is everything that can be set.
type settings struct {
	controlplane.Config `yaml:",inline"`
	Log                 obs.LogConfig `yaml:"log"`
}

// Validate implements config.Validator.
func (s settings) Validate() error { return errors.Join(s.Config.Validate(), s.Log.Validate()) }

func main() {
	s := settings{Config: controlplane.Default()}
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
	deps, disconnect, err := controlplane.Connect(s.Config, log)
	if err != nil {
		return err
	}
	defer disconnect()
	tier, err := controlplane.New(s.Config, deps)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return tier.Run(ctx)
}
