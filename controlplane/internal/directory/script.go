package directory

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"switchboard/shared/ids"
)

var (
	//go:embed scripts/create.lua
	createText string
	//go:embed scripts/begin.lua
	beginText string
	//go:embed scripts/claim.lua
	claimText string
	//go:embed scripts/commit.lua
	commitText string
	//go:embed scripts/renew.lua
	renewText string
	//go:embed scripts/announce.lua
	announceText string
	//go:embed scripts/end.lua
	endText string

	createScript   = newScript(createText)
	beginScript    = newScript(beginText)
	claimScript    = newScript(claimText)
	commitScript   = newScript(commitText)
	renewScript    = newScript(renewText)
	announceScript = newScript(announceText)
	endScript      = newScript(endText)
)

// script is sent by its hash, and by its text where the server lacks it.
type script struct {
	*redis.Script
	text string
}

func newScript(text string) script { return script{redis.NewScript(text), text} }

// call is one run of a script.
type call struct {
	keys []string
	args []any
}

// run executes a script once.
func (d *Directory) run(ctx context.Context, s script, keys []string, args ...any) (any, error) {
	var reply any
	err := d.guard(ctx, func() (err error) {
		reply, err = s.Run(ctx, d.client, keys, args...).Result()
		return err
	})
	return reply, err
}

// runAll executes a script once for each call, in one round trip, and returns
// the statuses. A server that lacks the script costs a second one.
func (d *Directory) runAll(ctx context.Context, s script, calls []call) ([]string, error) {
	replies := make([]*redis.Cmd, len(calls))
	pending := make([]int, len(calls))
	for i := range pending {
		pending[i] = i
	}
	err := d.guard(ctx, func() error {
		if _, err := d.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range pending {
				replies[i] = p.EvalSha(ctx, s.Hash(), calls[i].keys, calls[i].args...)
			}
			return nil
		}); err == nil || !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
		_, err := d.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, i := range pending {
				if redis.HasErrorPrefix(replies[i].Err(), "NOSCRIPT") {
					replies[i] = p.Eval(ctx, s.text, calls[i].keys, calls[i].args...)
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	statuses := make([]string, len(calls))
	for i, reply := range replies {
		if statuses[i], err = reply.Text(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return statuses, nil
}

// parseSession reads {'ok', worker, rev, thirdParty} or {status}.
func parseSession(reply any) (Session, error) {
	fields, _ := reply.([]any)
	text := make([]string, 4)
	for i, field := range fields[:min(len(fields), len(text))] {
		text[i], _ = field.(string)
	}
	switch text[0] {
	case "ok":
	case "missing":
		return Session{}, ErrMissing
	case "ended":
		return Session{}, ErrEnded
	case "limited":
		return Session{}, ErrRateLimited
	default:
		return Session{}, fmt.Errorf("%w: unexpected reply %v", ErrUnavailable, reply)
	}
	rev, err := strconv.ParseUint(text[2], 10, 64)
	if err != nil {
		return Session{}, fmt.Errorf("%w: revision: %w", ErrUnavailable, err)
	}
	return Session{Worker: ids.WorkerID(text[1]), Rev: rev, ThirdParty: text[3] == "1"}, nil
}
