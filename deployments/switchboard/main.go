// Switchboard in one binary: the whole system in one process for development,
// or as a small cluster of processes on one machine.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"switchboard/shared/config"
)

// commands is the command line.
type commands struct {
	Dev     devCommand       `cmd:"" help:"Run everything in this process, on loopback, for development."`
	Cluster clusterCommand   `cmd:"" help:"Run two control planes and three workers as processes, with redis-server and nats-server."`
	Version kong.VersionFlag `help:"Print the version, then exit."`
}

func main() {
	var c commands
	line := kong.Parse(&c,
		kong.Name("switchboard"),
		kong.Description("A self-hosted WebRTC SFU, compatible with the Cloudflare Realtime SFU API."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"version": "switchboard " + config.Version()},
		kong.Bind(interrupts()),
	)
	line.FatalIfErrorf(line.Run())
}

// stopping says how the process was told to stop.
type stopping struct {
	// gently ends at the first interrupt or termination signal, atOnce at the
	// second: the process then has a second left.
	gently, atOnce context.Context
}

func interrupts() stopping {
	gently, stop := context.WithCancel(context.Background())
	atOnce, kill := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		kill()
		<-time.After(time.Second)
		os.Exit(130)
	}()
	return stopping{gently: gently, atOnce: atOnce}
}
