package directory

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	generationKey = "sfu:gen"
	watchEvery    = time.Second
)

// Watch looks every second whether the store is the one it was, until ctx ends,
// and calls lost when it was emptied, replaced or rolled back: then the workers
// must announce their sessions. A store that had no generation at the first
// look is new, or was emptied while no control plane ran: it calls lost, but
// absent entries are believed. lost must not block.
func (d *Directory) Watch(ctx context.Context, lost func()) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	known := ""
	for {
		known = d.look(ctx, known, lost)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look compares the store's generation with the known one and returns it.
func (d *Directory) look(ctx context.Context, known string, lost func()) string {
	generation, created, err := d.generation(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.doubt()
		}
		return known
	}
	changed := known != "" && known != generation
	if changed {
		d.doubt()
	}
	if changed || created {
		lost()
	}
	return generation
}

// generation returns the store's generation, after creating it if there is none.
func (d *Directory) generation(ctx context.Context) (generation string, created bool, err error) {
	var current *redis.StringCmd
	var set *redis.BoolCmd
	err = d.guard(ctx, func() error {
		_, err := d.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			set = p.SetNX(ctx, generationKey, rand.Text(), 0)
			current = p.Get(ctx, generationKey)
			return nil
		})
		return err
	})
	if err != nil {
		return "", false, err
	}
	return current.Val(), set.Val(), nil
}
