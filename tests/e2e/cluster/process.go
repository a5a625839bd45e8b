package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// pollEvery is how often a starting server is asked whether it is ready.
const pollEvery = 10 * time.Millisecond

// process is a child. Its output is in a file that a failed start shows.
type process struct {
	name string
	pid  int
	log  string
	done chan struct{} // closed when it has ended
}

// spawn starts a program. Its standard output and error go to a file in dir.
func spawn(dir, name, program string, arguments ...string) (*process, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("this needs the program %s: %w", program, err)
	}
	output, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, arguments...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = output, output, dir
	// The signal comes when the thread that started the child ends, so that
	// thread is kept as long as the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &process{name: name, log: output.Name(), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.done)
		defer func() { _ = output.Close() }()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its output
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// kill ends the child at once and waits for its end. Killing twice does nothing.
func (p *process) kill() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := syscall.Kill(p.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// await asks ready until it returns nil. It fails when the child ends first.
func (p *process) await(ctx context.Context, ready func() error) error {
	err := poll(ctx, p.done, ready)
	if err != nil {
		output, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s is not ready: %w; its output:\n%s", p.name, err, tail(output, 4000))
	}
	return nil
}

// poll asks ready until it returns nil, ctx ends or stop is closed.
func poll(ctx context.Context, stop <-chan struct{}, ready func() error) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-stop:
			return fmt.Errorf("it ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

// freeAddress returns a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func dials(address string) func() error {
	return func() error {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

func startRedis(ctx context.Context, dir, address string) (*process, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p, err := spawn(dir, "redis-server", "redis-server", "--bind", host, "--port", port, "--save", "", "--appendonly", "no")
	if err != nil {
		return nil, err
	}
	return p, orKill(p, p.await(ctx, dials(address)))
}

func startNATS(ctx context.Context, dir, address string) (*process, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p, err := spawn(dir, "nats-server", "nats-server", "--addr", host, "--port", port)
	if err != nil {
		return nil, err
	}
	return p, orKill(p, p.await(ctx, dials(address)))
}

func orKill(p *process, err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, p.kill())
}

// Binaries are the two tiers, compiled.
type Binaries struct{ controlPlane, mediaWorker string }

// Build compiles the two tiers into dir.
func Build(ctx context.Context, dir string) (*Binaries, error) {
	b := &Binaries{controlPlane: filepath.Join(dir, "controlplane"), mediaWorker: filepath.Join(dir, "mediaworker")}
	for path, pkg := range map[string]string{
		b.controlPlane: "switchboard/controlplane/cmd/controlplane",
		b.mediaWorker:  "switchboard/mediaworker/cmd/mediaworker",
	} {
		output, err := exec.CommandContext(ctx, "go", "build", "-o", path, pkg).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", pkg, err, output)
		}
	}
	return b, nil
}
