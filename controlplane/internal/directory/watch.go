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

// Event is what Watch noticed.
type Event string

// The events.
const (
	// DataLost: the store was emptied, replaced or rolled back, or it is new:
	// the workers must announce their sessions.
	DataLost Event = "data lost"
	// Unreachable: the store stopped answering.
	Unreachable Event = "unreachable"
	// Reachable: it answers again.
	Reachable Event = "reachable"
)

// Watch looks every second whether the store is the one it was, until ctx ends,
// and tells what changed; err is set for Unreachable only. A store that had no
// generation at the first look is new, or was emptied while no control plane
// ran: that is DataLost, but absent entries are believed. tell must not block.
func (d *Directory) Watch(ctx context.Context, tell func(event Event, err error)) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var w watch
	for {
		d.look(ctx, &w, tell)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watch is what was seen last.
type watch struct {
	generation string // empty: never seen
	down       bool
}

// look compares the store with what was seen last.
func (d *Directory) look(ctx context.Context, w *watch, tell func(Event, error)) {
	generation, created, err := d.generation(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		d.doubt()
		if !w.down {
			tell(Unreachable, err)
		}
		w.down = true
		return
	}
	if w.down {
		w.down = false
		tell(Reachable, nil)
	}
	changed := w.generation != "" && w.generation != generation
	w.generation = generation
	if changed {
		d.doubt()
	}
	if changed || created {
		tell(DataLost, nil)
	}
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
