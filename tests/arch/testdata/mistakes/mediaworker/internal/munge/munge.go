package munge

import (
	"os"
	"time"

	"go.uber.org/zap"
)

// TODO make it pure.
func Now() time.Time {
	go zap.L().Info(os.Args[0])
	time.Sleep(time.Second)
	return time.Now()
}
