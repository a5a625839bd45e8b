package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestSupervisorLogsAndStopsItsProcesses(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := supervisor{log: &log}
	if _, err := s.start("short", shell, []string{"GREETING=hello"}, "-c", `echo "$GREETING"; exit 3`); err != nil {
		t.Fatal(err)
	}
	<-s.children[0].exited
	pid, err := s.start("long", shell, nil, "-c", "exec sleep 600")
	if err != nil {
		t.Fatal(err)
	}
	if got := s.list()[1]; got.Name != "long" || got.PID != pid {
		t.Errorf("list = %+v", s.list())
	}
	s.stopAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, want := range []string{"short        | hello\n", "short        | exited: exit status 3\n", "long         | exited: signal: terminated\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log.String())
		}
	}
}

func TestSupervisorKillsWhenThereIsNoTime(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	close(closed)
	var log bytes.Buffer
	s := supervisor{log: &log, atOnce: closed}
	if _, err := s.start("stubborn", shell, nil, "-c", "trap '' TERM; exec sleep 600"); err != nil {
		t.Fatal(err)
	}
	s.stopAll()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(log.String(), "stubborn     | exited: signal: ") {
		t.Errorf("log:\n%s", log.String())
	}
}

func TestSupervisorReportsAProgramThatIsNotThere(t *testing.T) {
	s := supervisor{log: &bytes.Buffer{}}
	if _, err := s.start("ghost", "/does/not/exist", nil); err == nil || !strings.Contains(err.Error(), "start ghost") {
		t.Errorf("error %v", err)
	}
	s.stopAll()
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(8)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, p := range ports {
		if p == 0 || seen[p] {
			t.Errorf("ports %v", ports)
		}
		seen[p] = true
	}
}
