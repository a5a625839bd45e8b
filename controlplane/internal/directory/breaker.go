package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// tripAfter failures in a row open the breaker.
	tripAfter = 3
	// probeEvery is how often an open breaker lets one operation try again.
	probeEvery = 500 * time.Millisecond
)

// breaker keeps callers from waiting for a store that does not answer. mu guards
// its fields; it is never held during an operation.
type breaker struct {
	mu       sync.Mutex
	failures int
	probe    time.Time // open: when the next operation may try
}

// allow reports whether an operation may be tried now.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < tripAfter {
		return true
	}
	if now.Before(b.probe) {
		return false
	}
	b.probe = now.Add(probeEvery)
	return true
}

// record tells how an operation went and reports whether the breaker is open.
func (b *breaker) record(failed bool, now time.Time) (open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failed {
		b.failures = 0
		return false
	}
	b.failures++
	b.probe = now.Add(probeEvery)
	return b.failures >= tripAfter
}

// guard runs op behind the breaker. Every failure but the end of ctx is
// ErrUnavailable: a store that refuses to serve (loading, read only, cluster
// down) is as good as one that is silent.
func (d *Directory) guard(ctx context.Context, op func() error) error {
	if !d.breaker.allow(time.Now()) {
		return ErrUnavailable
	}
	err := op()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if d.breaker.record(err != nil, time.Now()) {
		d.doubt()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}
