package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each measured server, and the load that measures it, is a process of its own,
// so that the processor time of one is never counted for another: the test
// binary runs itself again in one of these roles. Parent and child speak JSON,
// one document per line; the child ends when its standard input does.
const (
	roleVariable = "SWITCHBOARD_BENCH_ROLE"
	roleStock    = "stock"
	roleWorker   = "worker"
	roleLoad     = "load"
)

// command is what the parent asks; which fields count depends on Op.
type command struct {
	Op string
	// Server and Secret: the API that the load uses.
	Server, App, Secret string
	// Name, Video and Audio: what to publish.
	Name         string
	Video, Audio int
	// Count of sessions or calls, Parallel at most at once, Tracks per join.
	Count, Parallel, Tracks int
	Leave                   bool
	Window                  time.Duration
}

// answer is what the child says.
type answer struct {
	Error string
	// URL of a server that has started.
	URL string
	// Usage since the child's start.
	Usage usage
	// Latencies of joins or calls.
	Latencies []time.Duration
	// Delivered packets in the window; Lost those that never came.
	Delivered, Lost uint64
}

// usage is what a process consumes.
type usage struct {
	CPU time.Duration
	// RSS and Live, bytes: resident set, and heap and stacks in use, both after
	// a garbage collection that returned free memory.
	RSS, Live  uint64
	Goroutines int
}

// child is a running role. It is used by one goroutine.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	first   answer
}

// start runs the test binary in a role and waits for its first answer.
func start(b *testing.B, role string, environment ...string) *child {
	b.Helper()
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role), environment...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := &child{command: cmd, in: in, out: bufio.NewScanner(out)}
	c.out.Buffer(nil, 16<<20)
	b.Cleanup(func() {
		_ = c.in.Close()
		if err := c.command.Wait(); err != nil {
			b.Errorf("%s: %v", role, err)
		}
	})
	if c.first, err = c.read(); err != nil {
		b.Fatalf("%s: %v", role, err)
	}
	return c
}

func (c *child) ask(b *testing.B, question command) answer {
	b.Helper()
	data, err := json.Marshal(question)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.in.Write(append(data, '\n')); err != nil {
		b.Fatal(err)
	}
	a, err := c.read()
	if err != nil {
		b.Fatalf("%s: %v", question.Op, err)
	}
	return a
}

// usage returns what the child has consumed; collect also measures memory,
// which costs it a garbage collection.
func (c *child) usage(b *testing.B, collect bool) usage {
	b.Helper()
	op := opUsage
	if collect {
		op = opMemory
	}
	return c.ask(b, command{Op: op}).Usage
}

func (c *child) read() (answer, error) {
	var a answer
	if !c.out.Scan() {
		return a, errors.Join(io.ErrUnexpectedEOF, c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), &a); err != nil {
		return a, err
	}
	if a.Error != "" {
		return a, errors.New(a.Error)
	}
	return a, nil
}

// Questions that every role answers.
const (
	opUsage  = "usage"
	opMemory = "memory"
)

// serve answers questions until the parent closes the pipe. The role says
// first, and then handles what is not common to all.
func serve(first answer, handle func(command) (answer, error)) error {
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(first); err != nil {
		return err
	}
	in := json.NewDecoder(os.Stdin)
	for {
		var question command
		if err := in.Decode(&question); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := common(question, handle)
		if err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func common(question command, handle func(command) (answer, error)) (answer, error) {
	switch question.Op {
	case opUsage:
		return answer{Usage: usage{CPU: cpuTime(), Goroutines: runtime.NumGoroutine()}}, nil
	case opMemory:
		u, err := measureMemory()
		return answer{Usage: u}, err
	}
	return handle(question)
}

// cpuTime returns the user and system time of this process.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0 // cannot fail for the own process
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func measureMemory() (usage, error) {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rss, err := residentSet()
	return usage{CPU: cpuTime(), RSS: rss, Live: m.HeapAlloc + m.StackInuse, Goroutines: runtime.NumGoroutine()}, err
}

// residentSet reads proc_pid_statm(5).
func residentSet() (uint64, error) {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm is %q", data)
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	return pages * uint64(os.Getpagesize()), err
}
