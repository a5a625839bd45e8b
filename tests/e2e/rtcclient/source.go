package rtcclient

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// The media kinds.
const (
	Audio = "audio"
	Video = "video"
)

// SourceConfig says what a Source sends. Zero values take the defaults.
type SourceConfig struct {
	// Name is the trackName it is pushed under.
	Name string
	// Kind is Audio or Video.
	Kind string
	// RID makes it one layer of a simulcast track, see Client.PushSimulcast.
	RID string
	// StartSequence is the RTP sequence number of the first packet.
	StartSequence uint16
	// Interval between frames; default 20 ms for audio and 33 ms for video.
	Interval time.Duration
	// PacketsPerFrame: default 1 for audio, 3 for video.
	PacketsPerFrame int
	// Burst is how many packets of a frame leave at once, and Spacing the pause
	// before the next burst; default: the whole frame at once.
	Burst   int
	Spacing time.Duration
	// HoldAfter pauses the source by itself when so many packets were sent; 0
	// does not.
	HoldAfter uint64
	// Size of a payload, bytes; default 80 for audio, 1,000 for video.
	Size int
}

func (c SourceConfig) withDefaults() SourceConfig {
	interval, packets, size := 20*time.Millisecond, 1, 80
	if c.Kind == Video {
		interval, packets, size = 33*time.Millisecond, 3, 1000
	}
	if c.Interval == 0 {
		c.Interval = interval
	}
	if c.PacketsPerFrame == 0 {
		c.PacketsPerFrame = packets
	}
	if c.Burst == 0 {
		c.Burst = c.PacketsPerFrame
	}
	if c.Size == 0 {
		c.Size = size
	}
	return c
}

// Source is a synthetic track. It begins to send when its Client pushed it and
// the transport is up, with packet number 0, and sends until the Client closes
// or Pause. The first video frame is a keyframe; later ones follow requests.
type Source struct {
	config SourceConfig
	id     uint32
	track  *boundTrack
	began  time.Time
	// extensions name the section and the layer in every packet of a layer; set
	// before the source runs.
	extensions map[uint8]string

	mu       sync.Mutex // guards the fields below
	next     uint64     // number of the next packet
	frame    uint64
	paused   bool
	keyframe bool   // the next frame is a keyframe
	asked    uint64 // keyframe requests heard
	feedback uint64 // transport-wide feedback packets heard
	changed  signal
}

// boundTrack tells when the transport accepts its packets.
type boundTrack struct {
	*webrtc.TrackLocalStaticRTP
	once  sync.Once
	bound chan struct{}
}

func (b *boundTrack) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	p, err := b.TrackLocalStaticRTP.Bind(c)
	if err == nil {
		b.once.Do(func() { close(b.bound) })
	}
	return p, err
}

// NewSource returns a source that no client has pushed yet.
func NewSource(config SourceConfig) (*Source, error) {
	config = config.withDefaults()
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	if config.Kind == Video {
		codec = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	}
	track, err := webrtc.NewTrackLocalStaticRTP(codec, config.Name, "stream-"+config.Name, webrtc.WithRTPStreamID(config.RID))
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", config.Name, err)
	}
	return &Source{
		config:   config,
		id:       rand.Uint32(),
		track:    &boundTrack{TrackLocalStaticRTP: track, bound: make(chan struct{})},
		keyframe: config.Kind == Video,
		began:    time.Now(),
	}, nil
}

// Name returns the trackName.
func (s *Source) Name() string { return s.config.Name }

// RID returns the layer, "" of a plain track.
func (s *Source) RID() string { return s.config.RID }

// Kind returns Audio or Video.
func (s *Source) Kind() string { return s.config.Kind }

// Next returns the number of the packet that will be sent next: how many were sent.
func (s *Source) Next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// KeyframeRequests returns how many PLI and FIR reached the publisher.
func (s *Source) KeyframeRequests() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Feedback returns how many transport-wide congestion feedback packets named
// this source's SSRC.
func (s *Source) Feedback() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feedback
}

// Pause stops sending after the frame under way and returns how many packets
// were sent until then: no packet with that number or a higher one follows
// before Resume.
func (s *Source) Pause() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = true
	return s.next
}

// Resume continues after Pause.
func (s *Source) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.paused = false
}

// WaitSent waits until packet number n has been sent.
func (s *Source) WaitSent(ctx context.Context, n uint64) error {
	return s.wait(ctx, func() bool { return s.next > n })
}

// WaitKeyframeRequests waits until n keyframe requests were heard.
func (s *Source) WaitKeyframeRequests(ctx context.Context, n uint64) error {
	return s.wait(ctx, func() bool { return s.asked >= n })
}

// WaitFeedback waits until n transport-wide feedback packets were heard.
func (s *Source) WaitFeedback(ctx context.Context, n uint64) error {
	return s.wait(ctx, func() bool { return s.feedback >= n })
}

// TimeOf returns when the sample with an RTP timestamp was taken.
func (s *Source) TimeOf(timestamp uint32) time.Time {
	return s.began.Add(time.Duration(timestamp) * time.Second / time.Duration(s.clockRate()))
}

func (s *Source) clockRate() uint32 { return s.track.Codec().ClockRate }

// wait blocks until ok, which is called with the lock held.
func (s *Source) wait(ctx context.Context, ok func() bool) error {
	for {
		s.mu.Lock()
		done, changed := ok(), s.changed.next()
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("source %s at packet %d, %d keyframe requests, %d feedback packets: %w",
				s.config.Name, s.Next(), s.KeyframeRequests(), s.Feedback(), context.Cause(ctx))
		}
	}
}

// update changes fields under the lock and wakes who waits.
func (s *Source) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	s.changed.fire()
}

// run sends frames until ctx ends. The Client that pushed the source owns it.
func (s *Source) run(ctx context.Context) {
	select {
	case <-s.track.bound:
	case <-ctx.Done():
		return
	}
	ticker := time.NewTicker(s.config.Interval)
	defer ticker.Stop()
	for {
		s.sendFrame(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Source) sendFrame(ctx context.Context) {
	s.mu.Lock()
	if s.paused {
		s.mu.Unlock()
		return
	}
	keyframe := s.keyframe
	s.keyframe = false
	s.mu.Unlock()
	timestamp := uint32(time.Since(s.began).Seconds() * float64(s.clockRate()))
	for i := range s.config.PacketsPerFrame {
		if i > 0 && i%s.config.Burst == 0 {
			select {
			case <-time.After(s.config.Spacing):
			case <-ctx.Done():
				return
			}
		}
		// The lock makes Pause exact: it returns between two packets.
		s.update(func() { s.sendPacket(timestamp, i, keyframe) })
	}
	s.update(func() { s.frame++ })
}

// sendPacket sends packet i of the frame under way; the lock is held.
func (s *Source) sendPacket(timestamp uint32, i int, keyframe bool) {
	if s.paused {
		return
	}
	head := opusHead()
	if s.config.Kind == Video {
		head = vp8Head(uint16(s.frame)&0x7fff, i == 0, keyframe)
	}
	st := stamp{source: s.id, number: s.next, timestamp: timestamp, keyframe: keyframe && i == 0}
	packet := &rtp.Packet{
		Header: rtp.Header{
			Version:        2,
			Marker:         s.config.Kind == Video && i == s.config.PacketsPerFrame-1,
			SequenceNumber: s.config.StartSequence + uint16(s.next),
			Timestamp:      timestamp,
		},
		Payload: appendPayload(nil, head, st, s.config.Size),
	}
	for id, value := range s.extensions {
		_ = packet.SetExtension(id, []byte(value)) // ids are of the one-byte form, values short
	}
	s.next++
	if s.next == s.config.HoldAfter {
		s.paused = true
	}
	// A packet that the transport refuses counts as sent: the receiver misses it.
	_ = s.track.WriteRTP(packet)
}
