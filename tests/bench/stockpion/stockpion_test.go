package stockpion_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"switchboard/tests/bench/stockpion"
	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/rtcclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The yardstick must deliver what it is measured on, and this is where the
// account of the test client is itself put to the test.
func TestForwardsEveryPacket(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server, err := stockpion.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	}()
	api := apiclient.New("app", "secret", server.URL())
	defer api.Close()

	publisher := join(ctx, t, api)
	var sources []*rtcclient.Source
	for _, kind := range []string{rtcclient.Audio, rtcclient.Video} {
		s, err := rtcclient.NewSource(rtcclient.SourceConfig{Name: kind, Kind: kind, StartSequence: 65530})
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	if err := publisher.Push(ctx, sources...); err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		if err := s.WaitSent(ctx, 10); err != nil {
			t.Fatal(err)
		}
	}

	subscriber := join(ctx, t, api)
	inbounds, err := subscriber.Pull(ctx, publisher.Published(sources...)...)
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range inbounds {
		if err := in.WaitSource(ctx, sources[i], 1); err != nil {
			t.Fatal(err)
		}
		from, _ := in.First(sources[i])
		if err := in.WaitSource(ctx, sources[i], 30); err != nil {
			t.Fatal(err)
		}
		to := sources[i].Pause()
		if err := in.WaitAll(ctx, sources[i], from, to); err != nil {
			t.Fatal(err)
		}
		c := in.Counts()
		if c.Foreign+c.Corrupt+c.Renumbered+c.Retimed != 0 || len(c.SSRCs) != 1 || len(c.PayloadTypes) != 1 {
			t.Errorf("%s: account %+v", sources[i].Name(), c)
		}
	}
	sources[1].Resume()
	if err := inbounds[1].RequestKeyframe(); err != nil {
		t.Fatal(err)
	}
	if err := sources[1].WaitKeyframeRequests(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := inbounds[1].WaitKeyframes(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := inbounds[0].WaitReports(ctx, 1); err != nil {
		t.Error(err)
	}
	if err := sources[0].WaitFeedback(ctx, 1); err != nil {
		t.Error(err)
	}
}

func join(ctx context.Context, t *testing.T, api *apiclient.Client) *rtcclient.Client {
	t.Helper()
	c, err := rtcclient.New(ctx, api, rtcclient.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}
