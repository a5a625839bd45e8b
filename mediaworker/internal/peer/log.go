package peer

import (
	"fmt"

	"github.com/pion/logging"
	"go.uber.org/zap"
)

// pionLog passes pion's messages on at debug level: what an operator must know
// is logged by the session, once.
type pionLog struct{ log *zap.Logger }

// NewLogger implements logging.LoggerFactory.
func (l pionLog) NewLogger(scope string) logging.LeveledLogger {
	return pionScope{l.log.Named(scope)}
}

type pionScope struct{ log *zap.Logger }

func (s pionScope) say(level, text string) {
	s.log.Debug(text, zap.String("pionLevel", level))
}

func (s pionScope) sayf(level, format string, args []any) {
	if s.log.Core().Enabled(zap.DebugLevel) {
		s.say(level, fmt.Sprintf(format, args...))
	}
}

// pion traces and debugs per packet: those are left out.

func (s pionScope) Trace(string)                  {}
func (s pionScope) Tracef(string, ...any)         {}
func (s pionScope) Debug(string)                  {}
func (s pionScope) Debugf(string, ...any)         {}
func (s pionScope) Info(msg string)               { s.say("info", msg) }
func (s pionScope) Infof(format string, a ...any) { s.sayf("info", format, a) }
func (s pionScope) Warn(msg string)               { s.say("warn", msg) }
func (s pionScope) Warnf(format string, a ...any) { s.sayf("warn", format, a) }
func (s pionScope) Error(msg string)              { s.say("error", msg) }
func (s pionScope) Errorf(format string, a ...any) {
	s.sayf("error", format, a)
}
