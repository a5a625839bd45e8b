package standin_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"switchboard/shared/standin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNATSServesInProcessAndOverTCP(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1:0"} {
		t.Run("listen="+listen, func(t *testing.T) {
			server, err := standin.StartNATS(standin.NATSOptions{Listen: listen})
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			answerer, err := server.Connect("answerer")
			if err != nil {
				t.Fatal(err)
			}
			defer answerer.Close()
			if _, err := answerer.Subscribe("ping", func(m *nats.Msg) { _ = m.Respond([]byte("pong")) }); err != nil {
				t.Fatal(err)
			}
			if err := answerer.Flush(); err != nil {
				t.Fatal(err)
			}
			asker, err := dial(server)
			if err != nil {
				t.Fatal(err)
			}
			defer asker.Close()
			reply, err := asker.Request("ping", nil, 5*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(reply.Data); got != "pong" {
				t.Errorf("reply = %q, want pong", got)
			}
			if got := asker.MaxPayload(); got < 1<<20 {
				t.Errorf("max payload = %d, want at least 1 MiB", got)
			}
		})
	}
}

// dial connects over TCP where the server listens, else in process.
func dial(server *standin.NATS) (*nats.Conn, error) {
	if url := server.ClientURL(); url != "" {
		return nats.Connect(url)
	}
	return server.Connect("asker")
}

func TestNATSRefusesAnUnusableAddress(t *testing.T) {
	for listen, want := range map[string]string{
		"localhost":        "missing port",
		":4222":            "needs a host",
		"127.0.0.1:banana": "0 to 65535",
		"127.0.0.1:70000":  "0 to 65535",
	} {
		_, err := standin.StartNATS(standin.NATSOptions{Listen: listen})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("listen %q: error %v, want one with %q", listen, err, want)
		}
	}
}

func TestRedisRunsScriptsAndExpiresKeys(t *testing.T) {
	ctx := context.Background()
	server, err := standin.StartRedis()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer func() { _ = client.Close() }()

	script := redis.NewScript(`redis.call('SET', KEYS[1], ARGV[1], 'PX', 250); return redis.call('GET', KEYS[1])`)
	if got, err := script.Run(ctx, client, []string{"k"}, "v").Text(); err != nil || got != "v" {
		t.Fatalf("script = %q, %v; want v", got, err)
	}
	deadline, poll := time.After(5*time.Second), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for n := int64(1); n > 0; {
		select {
		case <-deadline:
			t.Fatal("the key did not expire by the wall clock")
		case <-poll.C:
			if n, err = client.Exists(ctx, "k").Result(); err != nil {
				t.Fatal(err)
			}
		}
	}

	server.Close() // closing twice is safe
}
