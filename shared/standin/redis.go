package standin

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often keys age. A key may expire up to one tick early or late.
const tick = 100 * time.Millisecond

// Redis is a running stand-in for Redis, on a free loopback port. Its methods
// are safe for concurrent use.
type Redis struct {
	mini  *miniredis.Miniredis
	stop  chan struct{}
	done  chan struct{}
	close sync.Once
}

// StartRedis starts a stand-in on a free port of 127.0.0.1. The caller closes it.
//
// miniredis does not age keys by itself. Its ClockTTL mode does, by walking
// every key on every command and again on every call inside a Lua script
// (milliseconds per command at 20,000 keys); one walk per tick costs nothing
// noticeable, so a goroutine owned by Redis does that.
func StartRedis() (*Redis, error) {
	mini := miniredis.NewMiniRedis()
	if err := mini.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start the Redis stand-in: %w", err)
	}
	r := &Redis{mini: mini, stop: make(chan struct{}), done: make(chan struct{})}
	go r.age()
	return r, nil
}

func (r *Redis) age() {
	defer close(r.done)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
			now := time.Now()
			r.mini.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr returns the "host:port" that clients dial.
func (r *Redis) Addr() string { return r.mini.Addr() }

// Close stops the server and disconnects its clients. Closing twice does nothing.
func (r *Redis) Close() {
	r.close.Do(func() {
		close(r.stop)
		<-r.done
		r.mini.Close()
	})
}
