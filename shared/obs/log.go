// Package obs makes what an operator sees of a running process: its logger,
// and the trace identity that ties the log lines of one API call together
// across HTTP, NATS and the worker.
package obs

import (
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// LogConfig says what is logged and how it looks.
type LogConfig struct {
	// Level is the least severe level that is written: debug, info, warn or
	// error. Empty means info.
	Level string `yaml:"level" help:"Least severe level to log: debug, info, warn or error."`
	// Format is console (for people), json (one object per line), or auto:
	// console on a terminal and json elsewhere. Empty means auto.
	Format string `yaml:"format" help:"Log format: auto, console or json."`
}

// Validate reports the first setting that NewLogger would refuse.
func (c LogConfig) Validate() error {
	if _, err := c.level(); err != nil {
		return err
	}
	_, err := c.console(os.Stderr)
	return err
}

// NewLogger returns a logger that writes to standard error. The caller calls
// Sync before the process ends.
func NewLogger(c LogConfig) (*zap.Logger, error) { return newLogger(c, os.Stderr) }

func newLogger(c LogConfig, out io.Writer) (*zap.Logger, error) {
	level, err := c.level()
	if err != nil {
		return nil, err
	}
	console, err := c.console(out)
	if err != nil {
		return nil, err
	}
	core := zapcore.NewCore(encoder(console, isTerminal(out)), zapcore.Lock(zapcore.AddSync(out)), level)
	return zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel)), nil
}

func encoder(console, color bool) zapcore.Encoder {
	e := zap.NewProductionEncoderConfig()
	e.TimeKey, e.MessageKey = "time", "message"
	e.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	e.EncodeDuration = zapcore.StringDurationEncoder
	if !console {
		return zapcore.NewJSONEncoder(e)
	}
	e.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	e.EncodeLevel = zapcore.CapitalLevelEncoder
	if color && os.Getenv("NO_COLOR") == "" {
		e.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	return zapcore.NewConsoleEncoder(e)
}

func (c LogConfig) level() (zapcore.Level, error) {
	switch c.Level {
	case "", "info":
		return zapcore.InfoLevel, nil
	case "debug":
		return zapcore.DebugLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("log.level is %q, want debug, info, warn or error", c.Level)
}

func (c LogConfig) console(out io.Writer) (bool, error) {
	switch c.Format {
	case "", "auto":
		return isTerminal(out), nil
	case "console":
		return true, nil
	case "json":
		return false, nil
	}
	return false, fmt.Errorf("log.format is %q, want auto, console or json", c.Format)
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
