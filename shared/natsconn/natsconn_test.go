package natsconn

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"switchboard/shared/testkit"
)

func TestAnOutageIsLoggedWithoutSecrets(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	logged := make(chan struct{}, 1)
	log := zap.New(core, zap.Hooks(func(zapcore.Entry) error { logged <- struct{}{}; return nil }))
	nc, err := Connect(Config{URL: "nats://me:hush@127.0.0.1:1,nats://hush@127.0.0.1:2"}, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	<-logged
	line := logs.All()[0]
	text := fmt.Sprint(line.Message, line.ContextMap())
	if strings.Contains(text, "hush") || !strings.Contains(text, "nats://127.0.0.1:1") || !strings.Contains(text, "nats://127.0.0.1:2") {
		t.Error(text)
	}
}

func TestServerOfAnInProcessConnectionHasNoAddress(t *testing.T) {
	if got := Server(testkit.NATS(t)); got != "in this process" {
		t.Error(got)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for want, c := range map[string]Config{
		"nats.url":      {},
		"nats.cert and": {URL: "nats://127.0.0.1:1", Cert: "x"},
		"nats: ":        {URL: "nats://127.0.0.1:1", CA: "/does/not/exist"},
	} {
		err := c.Validate()
		if err == nil {
			_, err = Connect(c, t.Name(), zap.NewNop())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
}
