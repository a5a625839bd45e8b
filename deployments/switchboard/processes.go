package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// stopPatience is how long a process may take to stop before it is killed.
const stopPatience = 10 * time.Second

// supervisor owns child processes. start and stopAll are called by one
// goroutine; the log is shared with one goroutine per process.
type supervisor struct {
	mu       sync.Mutex // guards log
	log      io.Writer
	atOnce   <-chan struct{} // closed: stopAll waits for nobody
	children []*child
}

type child struct {
	name    string
	command *exec.Cmd
	exited  chan struct{}
}

// start runs path with args and more environment, and returns its process id.
// The lines that it prints are logged under name.
func (s *supervisor) start(name, path string, environment []string, args ...string) (int, error) {
	c := &child{name: name, command: exec.Command(path, args...), exited: make(chan struct{})}
	c.command.Env = append(os.Environ(), environment...)
	c.command.SysProcAttr = ownGroup()
	reader, writer := io.Pipe()
	c.command.Stdout, c.command.Stderr = writer, writer
	if err := c.command.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", name, err)
	}
	s.children = append(s.children, c)
	go s.copyLines(name, reader)
	go func() {
		defer close(c.exited)
		err := c.command.Wait()
		_ = writer.Close() // a pipe's Close never fails
		s.print(name, fmt.Sprintf("exited: %v", errOr(err, "ok")))
	}()
	return c.command.Process.Pid, nil
}

func errOr(err error, otherwise string) string {
	if err == nil {
		return otherwise
	}
	return err.Error()
}

func (s *supervisor) copyLines(name string, from io.Reader) {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.print(name, lines.Text())
	}
	_, _ = io.Copy(io.Discard, from) // a line over 1 MiB must not block the process
}

func (s *supervisor) print(name, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.log, "%-12s | %s\n", name, line)
}

// list returns the processes in the order of their start.
func (s *supervisor) list() []readyProcess {
	var list []readyProcess
	for _, c := range s.children {
		list = append(list, readyProcess{Name: c.name, PID: c.command.Process.Pid})
	}
	return list
}

// stopAll stops the processes in the reverse order of their start, and waits
// until all have ended; those that take too long, and all when there is no time
// left, are killed.
func (s *supervisor) stopAll() {
	for _, c := range slices.Backward(s.children) {
		if err := c.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.print(c.name, err.Error())
		}
		select {
		case <-c.exited:
			continue
		case <-s.atOnce:
		case <-time.After(stopPatience):
		}
		s.print(c.name, "did not stop in time and is killed")
		_ = c.command.Process.Kill() // it may just have ended
		<-c.exited
	}
}

// packages are the programs that are built when they do not lie beside this one.
var packages = map[string]string{
	"controlplane": "switchboard/controlplane/cmd/controlplane",
	"mediaworker":  "switchboard/mediaworker/cmd/mediaworker",
	// From the module's own requirements: the version that everything is tested with.
	"nats-server": "github.com/nats-io/nats-server/v2",
}

// findPrograms returns the path of each program of a cluster. Those that do not
// lie beside this binary are built into scratch, which needs Go and the source.
func findPrograms(ctx context.Context, scratch string) (map[string]string, error) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		return nil, errors.New("redis-server is not installed (Debian: apt-get install redis-server)")
	}
	programs := map[string]string{"redis-server": redis}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for name, source := range packages {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			programs[name] = beside
			continue
		}
		programs[name] = filepath.Join(scratch, name)
		build := exec.CommandContext(ctx, "go", "build", "-o", programs[name], source)
		if text, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s does not lie beside %s and cannot be built here: %w\n%s", name, self, err, text)
		}
	}
	return programs, nil
}
