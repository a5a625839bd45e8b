package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"switchboard/tests/e2e/apiclient"
	"switchboard/tests/e2e/rtcclient"
)

// Questions to the load process.
const (
	opConnect = "connect" // which API to use
	opPublish = "publish" // one more publisher
	opJoin    = "join"    // subscribers, each to the newest publisher's tracks
	opIdle    = "idle"    // connected sessions that send and receive nothing
	opMore    = "more"    // every subscriber pulls more tracks
	opMeasure = "measure" // count what is delivered in a window
	opPause   = "pause"   // the publisher stops sending
	opResume  = "resume"  // and sends again
	opCalls   = "calls"   // API calls alone
	opLeave   = "leave"   // every session ends
)

// joinTimeout bounds one join.
const joinTimeout = 20 * time.Second

// load generates media, receives it and accounts for it. One goroutine, that
// of serve, uses it.
type load struct {
	api       *apiclient.Client
	publisher *rtcclient.Client
	sources   []*rtcclient.Source
	clients   []*subscriber
	idle      []*rtcclient.Client
}

type subscriber struct {
	*rtcclient.Client
	inbounds []*rtcclient.Inbound
	sources  []*rtcclient.Source
}

func runLoad() error {
	l := new(load)
	err := serve(answer{}, l.handle)
	return errors.Join(err, l.leave())
}

func (l *load) handle(c command) (answer, error) {
	switch c.Op {
	case opConnect:
		l.api = apiclient.New(c.App, c.Secret, c.Server)
		return answer{}, nil
	case opPublish:
		return answer{}, l.publish(c)
	case opJoin:
		return l.join(c)
	case opIdle:
		return answer{}, l.connectIdle(c.Count)
	case opMore:
		return answer{}, l.more(c)
	case opMeasure:
		return l.measure(c.Window)
	case opCalls:
		return l.calls(c)
	case opPause, opResume:
		for _, s := range l.sources {
			if c.Op == opPause {
				s.Pause()
			} else {
				s.Resume()
			}
		}
		return answer{}, nil
	case opLeave:
		return answer{}, l.leave()
	}
	return answer{}, fmt.Errorf("unknown question %q", c.Op)
}

// videoConfig is 2.0 Mbit/s: 30 frames a second of 7 packets, in bursts of 3.
func videoConfig(name string) rtcclient.SourceConfig {
	return rtcclient.SourceConfig{
		Name: name, Kind: rtcclient.Video, Interval: time.Second / 30,
		PacketsPerFrame: 7, Burst: 3, Spacing: 5 * time.Millisecond, Size: 1191,
	}
}

func audioConfig(name string) rtcclient.SourceConfig {
	return rtcclient.SourceConfig{Name: name, Kind: rtcclient.Audio, Size: 80}
}

func (l *load) publish(c command) error {
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	var configs []rtcclient.SourceConfig
	for i := range c.Audio {
		configs = append(configs, audioConfig(fmt.Sprintf("audio%d", i)))
	}
	for i := range c.Video {
		configs = append(configs, videoConfig(fmt.Sprintf("video%d", i)))
	}
	l.sources = nil
	for _, config := range configs {
		s, err := rtcclient.NewSource(config)
		if err != nil {
			return err
		}
		l.sources = append(l.sources, s)
	}
	var err error
	if l.publisher, err = rtcclient.New(ctx, l.api, rtcclient.Options{}); err != nil {
		return err
	}
	if err := l.publisher.Push(ctx, l.sources...); err != nil {
		return err
	}
	for _, s := range l.sources {
		if err := s.WaitSent(ctx, 5); err != nil {
			return err
		}
	}
	return nil
}

// join makes c.Count subscribers of the publisher's first c.Tracks tracks, at
// most c.Parallel at once, and returns for each the time from its first API
// call to its first packet. With c.Leave each leaves when it has that packet.
func (l *load) join(c command) (answer, error) {
	type joined struct {
		subscriber *subscriber
		latency    time.Duration
		err        error
	}
	results, slots := make(chan joined), make(chan struct{}, c.Parallel)
	var work sync.WaitGroup
	work.Go(func() {
		for range c.Count {
			slots <- struct{}{}
			work.Go(func() {
				s, latency, err := l.joinOne(l.sources[:c.Tracks])
				if c.Leave && err == nil {
					err = s.Close()
				}
				<-slots
				results <- joined{s, latency, err}
			})
		}
	})
	var a answer
	var errs []error
	for range c.Count {
		j := <-results
		if errs = append(errs, j.err); j.err == nil {
			if !c.Leave {
				l.clients = append(l.clients, j.subscriber)
			}
			a.Latencies = append(a.Latencies, j.latency)
		}
	}
	work.Wait()
	return a, errors.Join(errs...)
}

func (l *load) joinOne(sources []*rtcclient.Source) (*subscriber, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	began := time.Now()
	client, err := rtcclient.New(ctx, l.api, rtcclient.Options{})
	if err != nil {
		return nil, 0, err
	}
	s := &subscriber{Client: client, sources: sources}
	s.inbounds, err = client.Pull(ctx, l.publisher.Published(sources...)...)
	first := time.Time{}
	for _, in := range s.inbounds {
		if err == nil {
			err = in.WaitPackets(ctx, 1)
		}
		if at := in.Counts().First; first.IsZero() || at.Before(first) {
			first = at
		}
	}
	if err != nil {
		return nil, 0, errors.Join(err, client.Close())
	}
	return s, first.Sub(began), nil
}

// connectIdle makes sessions whose only track is a paused one.
func (l *load) connectIdle(count int) error {
	for range count {
		ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
		defer cancel()
		client, err := rtcclient.New(ctx, l.api, rtcclient.Options{})
		if err != nil {
			return err
		}
		l.idle = append(l.idle, client)
		source, err := rtcclient.NewSource(audioConfig("idle"))
		if err != nil {
			return err
		}
		source.Pause()
		if err := client.Push(ctx, source); err != nil {
			return err
		}
		if err := client.WaitConnected(ctx); err != nil {
			return err
		}
	}
	return nil
}

// more makes every subscriber pull the publisher's tracks from the second on.
func (l *load) more(c command) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	sources := l.sources[1 : 1+c.Tracks]
	for _, s := range l.clients {
		inbounds, err := s.Pull(ctx, l.publisher.Published(sources...)...)
		if err != nil {
			return err
		}
		for _, in := range inbounds {
			if err := in.WaitPackets(ctx, 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure counts what arrives within the window. Lost are packets that were
// sent in it and have not come; the newest are left out, being under way.
func (l *load) measure(window time.Duration) (answer, error) {
	const underWay = 30
	from := make(map[*rtcclient.Source]uint64)
	for _, s := range l.sources {
		from[s] = s.Next()
	}
	before := l.received()
	<-time.After(window)
	a := answer{Delivered: l.received() - before}
	for _, c := range l.clients {
		for i, in := range c.inbounds {
			s := c.sources[i]
			sent := s.Next()
			a.Lost += uint64(len(in.Missing(s, from[s], max(from[s], sent-min(sent, underWay)))))
		}
	}
	return a, nil
}

// received counts the packets that all subscribers have got.
func (l *load) received() uint64 {
	var n uint64
	for _, c := range l.clients {
		for _, in := range c.inbounds {
			n += in.Counts().Packets
		}
	}
	return n
}

// calls makes pairs of calls, sessions/new and a pull, and returns the latency
// of the pulls' calls.
func (l *load) calls(c command) (answer, error) {
	var (
		a    answer
		mu   sync.Mutex
		work sync.WaitGroup
		errs []error
	)
	for range c.Parallel {
		work.Go(func() {
			for range c.Count / c.Parallel {
				latency, err := l.call()
				mu.Lock()
				a.Latencies, errs = append(a.Latencies, latency), append(errs, err)
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return a, errors.Join(errs...)
}

func (l *load) call() (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
	defer cancel()
	session, err := l.api.NewSession(ctx)
	if err != nil {
		return 0, err
	}
	request := apiclient.Request{
		Description: &apiclient.Description{Type: "offer", SDP: stubOffer()},
		Tracks:      []apiclient.Track{{Location: "local", Mid: "0", TrackName: "camera"}},
	}
	began := time.Now()
	_, err = l.api.NewTracks(ctx, session, request)
	return time.Since(began), err
}

func (l *load) leave() error {
	var work sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	end := func(c *rtcclient.Client) {
		work.Go(func() {
			err := c.Close()
			mu.Lock()
			errs = append(errs, err)
			mu.Unlock()
		})
	}
	for _, c := range l.clients {
		end(c.Client)
	}
	for _, c := range l.idle {
		end(c)
	}
	if l.publisher != nil {
		end(l.publisher)
	}
	work.Wait()
	l.clients, l.idle, l.publisher, l.sources = nil, nil, nil, nil
	return errors.Join(errs...)
}
