package testkit_test

import (
	"testing"
	"time"

	"switchboard/shared/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestServersAnswerAndStop(t *testing.T) {
	testkit.NoLeaks(t)
	if err := testkit.NATS(t).FlushTimeout(5 * time.Second); err != nil {
		t.Errorf("nats-server does not answer: %v", err)
	}
	if err := testkit.Redis(t).Ping(t.Context()).Err(); err != nil {
		t.Errorf("the Redis stand-in does not answer: %v", err)
	}
}
