package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDevServesTheAPIAndStops starts the whole system in this process, makes a
// session through its API, and checks (with TestMain) that nothing is left.
func TestDevServesTheAPIAndStops(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	d := devCommand{Listen: "127.0.0.1:0", Workers: 2, Placement: "local", Output: "json", LogLevel: "error", app: app{AppID: "an-app", AppSecret: "a-secret"}}
	go func() {
		err := d.run(ctx, writer)
		_ = writer.CloseWithError(err)
		done <- err
	}()
	var r ready
	if err := json.NewDecoder(reader).Decode(&r); err != nil {
		t.Fatal(err)
	}
	if len(r.Workers) != 2 || r.Workers[0].UDPPort == 0 || r.Workers[0].UDPPort == r.Workers[1].UDPPort || r.AppID != "an-app" {
		t.Errorf("ready = %+v", r)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.APIBaseURL+"/apps/an-app/sessions/new", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer a-secret")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || response.StatusCode != http.StatusCreated || !bytes.Contains(body, []byte("sessionId")) {
		t.Errorf("sessions/new: %s %s %v", response.Status, body, err)
	}
	demo, err := client.Get(r.DemoURL)
	if err != nil || demo.StatusCode != http.StatusOK {
		t.Errorf("the demo page: %v, %v", demo, err)
	} else {
		_ = demo.Body.Close()
	}
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("stopped with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("did not stop")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestDevRefusesWhatItCannotUse(t *testing.T) {
	good := devCommand{Listen: "127.0.0.1:0", Workers: 1}
	for _, tc := range []struct {
		change func(*devCommand)
		want   string
	}{
		{func(*devCommand) {}, ""},
		{func(d *devCommand) { d.Workers = 0 }, "--workers is 0, want 1 to 64"},
		{func(d *devCommand) { d.UDPPort = 65536 }, "--udp-port is 65536"},
		{func(d *devCommand) { d.Listen = "8080" }, `--listen is "8080", want host:port`},
	} {
		d := good
		tc.change(&d)
		got := ""
		if err := d.Validate(); err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tc.want) || (got == "") != (tc.want == "") {
			t.Errorf("%+v: %q, want %q", d, got, tc.want)
		}
	}
}
