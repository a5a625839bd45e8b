package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"switchboard/shared/ids"
)

// ready is what both shapes tell when they serve: one line of JSON for
// scripts, or a block for people.
type ready struct {
	APIBaseURL string        `json:"apiBaseUrl"`
	AppID      string        `json:"appId"`
	AppSecret  string        `json:"appSecret"`
	DemoURL    string        `json:"demoUrl,omitempty"`
	Workers    []readyWorker `json:"workers"`
	// APIBaseURLs lists every control plane of a cluster; the first is APIBaseURL.
	APIBaseURLs []string       `json:"apiBaseUrls,omitempty"`
	Processes   []readyProcess `json:"processes,omitempty"`
}

type readyWorker struct {
	ID      ids.WorkerID `json:"id"`
	UDPPort int          `json:"udpPort"`
	// PID is the worker's process, where it has one of its own.
	PID int `json:"pid,omitempty"`
}

type readyProcess struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// write prints r in the wanted format: "json" or "text".
func (r ready) write(out io.Writer, format string) error {
	if format == "json" {
		return json.NewEncoder(out).Encode(r)
	}
	var b strings.Builder
	b.WriteString("\nSwitchboard is ready. For development only: its secret is printed here.\n\n")
	row := func(name string, values ...string) {
		for _, value := range values {
			fmt.Fprintf(&b, "  %-14s%s\n", name, value)
			name = ""
		}
	}
	row("API base URL", append([]string{r.APIBaseURL}, r.APIBaseURLs[min(1, len(r.APIBaseURLs)):]...)...)
	row("App id", r.AppID)
	row("App secret", r.AppSecret)
	if r.DemoURL != "" {
		row("Demo", r.DemoURL)
	}
	var workers, processes []string
	for _, w := range r.Workers {
		workers = append(workers, fmt.Sprintf("%s, media on UDP port %d%s", w.ID, w.UDPPort, pidText(w.PID)))
	}
	for _, p := range r.Processes {
		processes = append(processes, p.Name+pidText(p.PID))
	}
	row("Workers", workers...)
	row("Processes", processes...)
	fmt.Fprintf(&b, "\n  curl -X POST -H 'Authorization: Bearer %s' %s/apps/%s/sessions/new\n\nCtrl-C stops it.\n\n",
		r.AppSecret, r.APIBaseURL, r.AppID)
	_, err := io.WriteString(out, b.String())
	return err
}

func pidText(pid int) string {
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

// app is the one App of a development system.
type app struct {
	AppID     string `name:"app-id" env:"SWITCHBOARD_APP_ID" help:"Id of the App. Random unless given."`
	AppSecret string `env:"SWITCHBOARD_APP_SECRET" help:"Secret of the App. Random unless given."`
}

// orRandom fills in what was not given, and checks what was.
func (a app) orRandom() (app, error) {
	if a.AppID == "" {
		a.AppID = randomHex(16)
	}
	if a.AppSecret == "" {
		a.AppSecret = randomHex(16)
	}
	if _, err := ids.ParseAppID(a.AppID); err != nil {
		return a, fmt.Errorf("--app-id: %w", err)
	}
	return a, nil
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand.Read aborts the process instead
	return hex.EncodeToString(b)
}

// awaitReady asks base/readyz until it answers 200 or ctx ends.
func awaitReady(ctx context.Context, base string) error {
	const pause = 50 * time.Millisecond
	var answer error // why it is not ready
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err != nil {
			if ctx.Err() == nil || answer == nil {
				answer = err
			}
		} else {
			body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // for the error text only
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			answer = fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(body)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s/readyz: %w", base, answer)
		case <-time.After(pause):
		}
	}
}

// portOf returns the port of a "host:port", 0 when it has none.
func portOf(address string) int {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return port
}
