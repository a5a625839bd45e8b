package testkit

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// RedisProcess is a real redis-server, a process of the test's own on a free
// loopback port, keeping nothing on disk.
type RedisProcess struct {
	tb      testing.TB
	address string
	command *exec.Cmd
}

// RealRedis starts a redis-server that is stopped with the test. It fails the
// test where the program is not installed, because what was not run on a real
// server was not tested.
func RealRedis(tb testing.TB) *RedisProcess {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		tb.Fatal(err)
	}
	r := &RedisProcess{tb: tb, address: address}
	tb.Cleanup(r.Kill)
	r.Start()
	return r
}

// Addr returns "host:port", the same for the whole test.
func (r *RedisProcess) Addr() string { return r.address }

// Start starts the server, empty, and returns when it answers.
func (r *RedisProcess) Start() {
	r.tb.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		r.tb.Fatalf("this test needs a real redis-server (Debian: apt-get install redis-server): %v", err)
	}
	host, port, err := net.SplitHostPort(r.address)
	if err != nil {
		r.tb.Fatal(err)
	}
	// Not bound to the test's context, which ends before the cleanups that may
	// still need the server; Kill is one of them.
	r.command = exec.CommandContext(context.WithoutCancel(r.tb.Context()), program, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", r.tb.TempDir())
	r.command.Stderr = os.Stderr
	if err := r.command.Start(); err != nil {
		r.tb.Fatalf("start redis-server: %v", err)
	}
	if err := r.await(10 * time.Second); err != nil {
		r.tb.Fatalf("redis-server %s: %v", strconv.Itoa(r.command.Process.Pid), err)
	}
}

// await pings until the server answers.
func (r *RedisProcess) await(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ping(r.address, deadline)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-ticker.C
	}
}

func ping(address string, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	reply := make([]byte, 7)
	if _, err := conn.Read(reply); err != nil {
		return err
	}
	if string(reply[:5]) != "+PONG" {
		return fmt.Errorf("answered %q to PING", reply)
	}
	return nil
}

// Kill ends the server at once; its data is lost. Killing twice does nothing.
func (r *RedisProcess) Kill() {
	if r.command == nil || r.command.Process == nil {
		return
	}
	_ = r.command.Process.Kill()
	_ = r.command.Wait()
	r.command = nil
}

// Freeze stops the server's execution: it accepts connections and answers
// nothing, until Thaw.
func (r *RedisProcess) Freeze() { r.signal(syscall.SIGSTOP) }

// Thaw continues a frozen server.
func (r *RedisProcess) Thaw() { r.signal(syscall.SIGCONT) }

func (r *RedisProcess) signal(s os.Signal) {
	r.tb.Helper()
	if err := r.command.Process.Signal(s); err != nil {
		r.tb.Fatalf("signal redis-server: %v", err)
	}
}
