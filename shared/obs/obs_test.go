package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestLoggerWritesOneJSONObjectPerLine(t *testing.T) {
	var out bytes.Buffer
	log, err := newLogger(LogConfig{Level: "warn", Format: "auto"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("too quiet to be written")
	log.Warn("written", zap.String("session", "s1"))
	var line struct{ Level, Message, Session, Time string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	if line.Level != "warn" || line.Message != "written" || line.Session != "s1" || line.Time == "" {
		t.Errorf("line = %+v", line)
	}
}

func TestLoggerConsole(t *testing.T) {
	var out bytes.Buffer
	log, err := newLogger(LogConfig{Level: "debug", Format: "console"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("hello", zap.Int("n", 1))
	if got := out.String(); !strings.Contains(got, "DEBUG\thello\t{\"n\": 1}") || strings.Contains(got, "\x1b") {
		t.Errorf("line = %q, want plain console text without colour", got)
	}
}

func TestLogConfigValidate(t *testing.T) {
	for _, tc := range []struct {
		config LogConfig
		want   string
	}{
		{LogConfig{}, ""},
		{LogConfig{Level: "error", Format: "json"}, ""},
		{LogConfig{Level: "loud"}, `log.level is "loud", want debug, info, warn or error`},
		{LogConfig{Format: "xml"}, `log.format is "xml", want auto, console or json`},
	} {
		got := ""
		if err := tc.config.Validate(); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.config, got, tc.want)
		}
		if _, err := NewLogger(tc.config); (err == nil) != (tc.want == "") {
			t.Errorf("%+v: NewLogger disagrees with Validate: %v", tc.config, err)
		}
	}
}

const sample = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParseTrace(t *testing.T) {
	for header, want := range map[string]bool{
		sample: true,
		"":     false,
		"00-00000000000000000000000000000000-b7ad6b7169203331-01": false,
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01": false,
		"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01": false,
		"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": false,
		"zz-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": false,
		sample + "-extra":                    false,
		"01" + sample[2:] + "-extra":         true,
		"01" + sample[2:] + "extra":          false,
		strings.ReplaceAll(sample, "-", "_"): false,
	} {
		got, ok := ParseTrace(header)
		if ok != want {
			t.Errorf("ParseTrace(%q) ok = %t, want %t", header, ok, want)
		}
		if ok != got.Valid() {
			t.Errorf("ParseTrace(%q) = %+v with ok %t", header, got, ok)
		}
	}
	if got, _ := ParseTrace(sample); got.Header() != sample {
		t.Errorf("header = %q, want %q", got.Header(), sample)
	}
}

func TestTraceChildKeepsTheTrace(t *testing.T) {
	parent, _ := ParseTrace(sample)
	child := parent.Child()
	if child.TraceID != parent.TraceID || child.SpanID == parent.SpanID || !child.Sampled {
		t.Errorf("child = %+v of %+v", child, parent)
	}
	if a, b := NewTrace(), NewTrace(); a == b || !a.Valid() {
		t.Errorf("fresh traces %+v and %+v", a, b)
	}
	if (Trace{}).Header() != "" {
		t.Error("the zero trace has a header")
	}
}

func TestTraceInContext(t *testing.T) {
	if _, ok := TraceFrom(context.Background()); ok {
		t.Error("an empty context carries a trace")
	}
	want := NewTrace()
	if got, ok := TraceFrom(WithTrace(context.Background(), want)); !ok || got != want {
		t.Errorf("got %+v %t, want %+v", got, ok, want)
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add(sample)
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-what")
	f.Fuzz(func(t *testing.T, header string) {
		trace, ok := ParseTrace(header)
		if !ok {
			return
		}
		again, ok := ParseTrace(trace.Header())
		if !ok || again != trace {
			t.Errorf("%q → %+v → %+v", header, trace, again)
		}
	})
}
