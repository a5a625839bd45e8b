package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Listen  string        `yaml:"listen" help:"Where to listen."`
	Timeout time.Duration `yaml:"timeout" help:"Longest wait."`
	Apps    []sampleApp   `yaml:"apps" help:"The Apps."`
	NATS    sampleNATS    `yaml:"nats"`
	Common  `yaml:",inline"`
	Ignored func() `yaml:"-"`
}

// Common is embedded with its keys inline.
type Common struct {
	Verbose bool `yaml:"verbose" help:"Say more."`
}

type sampleNATS struct {
	URL        string   `yaml:"url" help:"NATS servers."`
	Password   string   `yaml:"password" secret:"true"`
	MaxPending int      `yaml:"maxPending"`
	Subjects   []string `yaml:"subjects"`
}

type sampleApp struct {
	ID      string   `yaml:"id"`
	Secrets []string `yaml:"secrets" secret:"true"`
}

func (s *sample) Validate() error {
	if s.Timeout < 0 {
		return fmt.Errorf("timeout is %s, want 0 or more", s.Timeout)
	}
	return nil
}

func defaults() *sample {
	return &sample{Listen: "127.0.0.1:1", Timeout: time.Second, NATS: sampleNATS{URL: "nats://d:4222", MaxPending: 1}}
}

// run parses with the given file content ("" for none), environment and flags.
func run(t *testing.T, file string, env map[string]string, args ...string) (*sample, string, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	var out bytes.Buffer
	into := defaults()
	p := program{name: "prog", description: "does things", out: &out,
		getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
	err := p.parse(into, args)
	return into, out.String(), err
}

func TestLaterSourcesWin(t *testing.T) {
	file := "listen: file:1\ntimeout: 2s\nverbose: true\nnats:\n  url: nats://file:1\n  maxPending: 2\n"
	env := map[string]string{"SWITCHBOARD_NATS_URL": "nats://env:1", "SWITCHBOARD_NATS_MAX_PENDING": "3", "SWITCHBOARD_SERVICE_HOST": "x"}
	got, _, err := run(t, file, env, "--nats-max-pending=4", "--nats-subjects", "a, b", "--nats-subjects=c",
		"--apps", "[{id: demo, secrets: [s]}]")
	if err != nil {
		t.Fatal(err)
	}
	want := &sample{
		Listen: "file:1", Timeout: 2 * time.Second, Common: Common{Verbose: true},
		Apps: []sampleApp{{ID: "demo", Secrets: []string{"s"}}},
		NATS: sampleNATS{URL: "nats://env:1", MaxPending: 4, Subjects: []string{"a", "b", "c"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNothingSetKeepsTheDefaults(t *testing.T) {
	got, out, err := run(t, "", nil)
	if err != nil || out != "" {
		t.Fatal(out, err)
	}
	if diff := cmp.Diff(defaults(), got); diff != "" {
		t.Error(diff)
	}
	for _, file := range []string{"# only a comment\n", "nats:\n  # url: x\nlisten:\n"} {
		got, _, err = run(t, file, nil)
		if diff := cmp.Diff(defaults(), got); diff != "" || err != nil {
			t.Errorf("a file without values: %v\n%s", err, diff)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		env        map[string]string
		args       []string
		want       string
	}{
		{name: "unknown flag", args: []string{"--lisen=x"}, want: "lisen"},
		{name: "stray word", args: []string{"serve"}, want: `"serve" is not a flag`},
		{name: "unknown key", file: "nats:\n  ulr: x\n", want: `unknown field "ulr"`},
		{name: "wrong type", file: "timeout: [1]\n", want: "[1:10] cannot"},
		{name: "missing file", args: []string{"--config", "/does/not/exist"}, want: "no such file"},
		{name: "number", env: map[string]string{"SWITCHBOARD_NATS_MAX_PENDING": "many"},
			want: `nats.maxPending (from environment SWITCHBOARD_NATS_MAX_PENDING): "many" is not a whole number in range`},
		{name: "duration", args: []string{"--timeout=10"}, want: `timeout (from flag --timeout): "10" is not a duration such as 10s or 1m30s`},
		{name: "bool", args: []string{"--verbose=perhaps"}, want: "true or false"},
		{name: "yaml", args: []string{"--apps", "[{name: x}]"}, want: "apps (from flag --apps): [redacted] is not valid YAML: unknown field \"name\""},
		{name: "file beside a secret", file: "nats:\n  password: hush\n  ulr: x\n", want: `[3:3] unknown field "ulr"`},
		{name: "validation", args: []string{"--timeout=-1s"}, want: "timeout is -1s, want 0 or more (prog --print-config shows"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := run(t, tc.file, tc.env, tc.args...)
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestPrintConfigShowsSourcesAndNoSecrets(t *testing.T) {
	env := map[string]string{"SWITCHBOARD_NATS_URL": "nats://me:hush@h:1", "SWITCHBOARD_NATS_PASSWORD": "hush"}
	_, out, err := run(t, "", env, "--apps=[{id: demo, secrets: [hush, '']}]", "--verbose", "--print-config")
	if !errors.Is(err, ErrDone) {
		t.Fatal(err)
	}
	want := `# Effective configuration of prog; the source of each value is beside it.
listen: "127.0.0.1:1"  # default
timeout: 1s  # default
apps: [{id: demo, secrets: ["[redacted]", ""]}]  # flag --apps
nats:
  url: "nats://[redacted]@h:1"  # environment SWITCHBOARD_NATS_URL
  password: "[redacted]"  # environment SWITCHBOARD_NATS_PASSWORD
  maxPending: 1  # default
  subjects: []  # default
verbose: true  # flag --verbose
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	again, _, err := run(t, out, nil)
	if err != nil || !again.Verbose || again.Timeout != time.Second {
		t.Errorf("the printed configuration does not load: %+v, %v", again, err)
	}
}

func TestHelpFitsOnOneScreen(t *testing.T) {
	_, out, err := run(t, "", nil, "--help")
	if !errors.Is(err, ErrDone) {
		t.Fatal(err)
	}
	for _, want := range []string{"prog: does things", "--listen TEXT", "(default 127.0.0.1:1)", "--timeout DURATION", "SWITCHBOARD_NATS_URL"} {
		if !strings.Contains(out, want) {
			t.Errorf("help lacks %q:\n%s", want, out)
		}
	}
	if _, out, _ = run(t, "", nil, "--version"); !strings.HasPrefix(out, "prog ") {
		t.Errorf("version = %q", out)
	}
}

func TestEnvironmentNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("listen: from-file:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := run(t, "", map[string]string{"SWITCHBOARD_CONFIG": path})
	if err != nil || got.Listen != "from-file:1" {
		t.Errorf("%+v, %v", got, err)
	}
}
