package rtcclient

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pion/webrtc/v4"

	"switchboard/tests/e2e/apiclient"
)

// Ref names a publication to pull, and the layer that is wanted of it.
type Ref struct {
	Session, Track string
	Simulcast      *apiclient.Simulcast
}

// Published returns the Refs of sources that c pushed.
func (c *Client) Published(sources ...*Source) []Ref {
	refs := make([]Ref, len(sources))
	for i, s := range sources {
		refs[i] = Ref{Session: c.session, Track: s.Name()}
	}
	return refs
}

// Push offers and publishes sources. It fails when any of them was refused.
func (c *Client) Push(ctx context.Context, sources ...*Source) error {
	_, err := c.push(ctx, false, sources)
	return err
}

// PushDiscovered publishes sources by autoDiscover and returns the names that
// the server chose, in the order of sources.
func (c *Client) PushDiscovered(ctx context.Context, sources ...*Source) ([]string, error) {
	return c.push(ctx, true, sources)
}

func (c *Client) push(ctx context.Context, discover bool, sources []*Source) ([]string, error) {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	transceivers := make([]*webrtc.RTPTransceiver, len(sources))
	for i, s := range sources {
		t, err := c.pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			return nil, err
		}
		transceivers[i] = t
	}
	offer, err := c.offer()
	if err != nil {
		return nil, err
	}
	request := apiclient.Request{Description: offer, AutoDiscover: discover}
	for i, s := range sources {
		if !discover {
			request.Tracks = append(request.Tracks, apiclient.Track{Location: "local", Mid: transceivers[i].Mid(), TrackName: s.Name()})
		}
	}
	response, err := c.api.NewTracks(ctx, c.session, request)
	if err != nil {
		return nil, err
	}
	if err := c.answered(response); err != nil {
		return nil, err
	}
	names := make([]string, len(sources))
	for i, s := range sources {
		item, err := itemOf(response, transceivers[i].Mid())
		if err != nil {
			return nil, err
		}
		names[i] = item.TrackName
		c.own(transceivers[i].Mid(), s)
		c.start(s, transceivers[i].Sender())
	}
	return names, nil
}

// PushAgain publishes a source once more on the section that it is sent in, as a
// client does whose push failed or whose track was closed by force.
func (c *Client) PushAgain(ctx context.Context, s *Source) error {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	mid := c.MidOf(s)
	offer, err := c.offer()
	if err != nil {
		return err
	}
	response, err := c.api.NewTracks(ctx, c.session, apiclient.Request{
		Description: offer,
		Tracks:      []apiclient.Track{{Location: "local", Mid: mid, TrackName: s.Name()}},
	})
	if err != nil {
		return err
	}
	if err := c.answered(response); err != nil {
		return err
	}
	_, err = itemOf(response, mid)
	return err
}

// PushAsked publishes one source in a section that the server offers;
// bidirectional makes it sendrecv. It returns the section.
func (c *Client) PushAsked(ctx context.Context, s *Source, bidirectional bool) (*Inbound, error) {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	response, err := c.api.NewTracks(ctx, c.session, apiclient.Request{Tracks: []apiclient.Track{
		{Location: "local", TrackName: s.Name(), Kind: s.Kind(), Bidirectional: bidirectional},
	}})
	if err != nil {
		return nil, err
	}
	if len(response.Tracks) != 1 || response.Tracks[0].ErrorCode != "" || response.Tracks[0].Mid == "" {
		return nil, fmt.Errorf("push of %s without an offer: %+v", s.Name(), response.Tracks)
	}
	mid := response.Tracks[0].Mid
	if err := c.applyOffer(response); err != nil {
		return nil, err
	}
	t := c.transceiver(mid)
	if t == nil {
		return nil, fmt.Errorf("the offer has no section %q", mid)
	}
	sender, err := c.pc.AddTrack(s.track) // takes the transceiver that the offer made
	if err != nil {
		return nil, err
	}
	if t.Sender() != sender {
		return nil, fmt.Errorf("section %q, which the server offered, cannot send", mid)
	}
	if err := c.sendAnswer(ctx); err != nil {
		return nil, err
	}
	c.own(mid, s)
	c.start(s, sender)
	return c.Inbound(mid), nil
}

// Pull asks for publications and answers the server's offer. It returns one
// account per Ref, in order; it fails when any item failed.
func (c *Client) Pull(ctx context.Context, refs ...Ref) ([]*Inbound, error) {
	ins, response, err := c.PullItems(ctx, refs...)
	if err != nil {
		return nil, err
	}
	return ins, itemErrors(response)
}

// PullItems is Pull without the check of the items: the account of an item that
// failed is nil.
func (c *Client) PullItems(ctx context.Context, refs ...Ref) ([]*Inbound, *apiclient.Response, error) {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	response, err := c.api.NewTracks(ctx, c.session, apiclient.Request{Tracks: remote(refs)})
	if err != nil {
		return nil, response, err
	}
	if response.Renegotiate {
		if err := c.applyOffer(response); err != nil {
			return nil, response, err
		}
		if err := c.sendAnswer(ctx); err != nil {
			return nil, response, err
		}
	}
	ins, err := c.pulled(refs, response)
	return ins, response, err
}

// PullWithOffer pulls into sections that the client offers.
func (c *Client) PullWithOffer(ctx context.Context, kinds []string, refs ...Ref) ([]*Inbound, error) {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	for _, kind := range kinds {
		_, err := c.pc.AddTransceiverFromKind(webrtc.NewRTPCodecType(kind), webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		if err != nil {
			return nil, err
		}
	}
	offer, err := c.offer()
	if err != nil {
		return nil, err
	}
	request := apiclient.Request{Description: offer, Tracks: remote(refs)}
	for i := range request.Tracks {
		request.Tracks[i].Kind = kinds[i]
	}
	response, err := c.api.NewTracks(ctx, c.session, request)
	if err != nil {
		return nil, err
	}
	if err := c.answered(response); err != nil {
		return nil, err
	}
	ins, err := c.pulled(refs, response)
	return ins, errors.Join(err, itemErrors(response))
}

// PullInto pulls one publication into the section of the client's own
// bidirectional publication of a name; no SDP is exchanged.
func (c *Client) PullInto(ctx context.Context, own string, ref Ref) (*Inbound, error) {
	response, err := c.api.NewTracks(ctx, c.session, apiclient.Request{Tracks: []apiclient.Track{
		{Location: "remote", SessionID: ref.Session, TrackName: ref.Track, Mid: "#" + own},
	}})
	if err != nil {
		return nil, err
	}
	if response.Renegotiate || response.Description != nil {
		return nil, errors.New("a pull into an existing section asked for SDP")
	}
	ins, err := c.pulled([]Ref{ref}, response)
	if err := errors.Join(err, itemErrors(response)); err != nil {
		return nil, err
	}
	return ins[0], nil
}

// CloseForced ends the tracks of mids without SDP.
func (c *Client) CloseForced(ctx context.Context, mids ...string) (*apiclient.Response, error) {
	return c.api.CloseTracks(ctx, c.session, nil, mids...)
}

// CloseNegotiated stops the sections of mids and ends their tracks by an offer.
func (c *Client) CloseNegotiated(ctx context.Context, mids ...string) (*apiclient.Response, error) {
	return c.CloseStopping(ctx, mids, mids...)
}

// CloseStopping is CloseNegotiated that stops fewer sections than it closes.
func (c *Client) CloseStopping(ctx context.Context, stop []string, mids ...string) (*apiclient.Response, error) {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	for _, mid := range stop {
		if t := c.transceiver(mid); t != nil {
			if err := t.Stop(); err != nil {
				return nil, err
			}
		}
	}
	offer, err := c.offer()
	if err != nil {
		return nil, err
	}
	response, err := c.api.CloseTracks(ctx, c.session, offer, mids...)
	if err != nil {
		return response, err
	}
	return response, c.answered(response)
}

// MidOf returns the section that a source is sent in, or "".
func (c *Client) MidOf(s *Source) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for mid, own := range c.sources {
		if own == s {
			return mid
		}
	}
	return ""
}

func (c *Client) own(mid string, s *Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources[mid] = s
}

// offer applies a new offer locally and returns it for the wire, without
// candidates, as browsers' libraries send it.
func (c *Client) offer() (*apiclient.Description, error) {
	first := c.pc.CurrentLocalDescription() == nil
	offer, err := c.pc.CreateOffer(nil)
	if err != nil {
		return nil, fmt.Errorf("create offer: %w", err)
	}
	if err := c.pc.SetLocalDescription(offer); err != nil {
		return nil, fmt.Errorf("set local offer: %w", err)
	}
	if c.options.ThirdParty {
		if offer.SDP, err = c.gathered(); err != nil {
			return nil, err
		}
	}
	// pion wants its own text back, so only the server sees the role.
	if first && c.options.OfferSetup != "" {
		offer.SDP = strings.ReplaceAll(offer.SDP, "a=setup:actpass", "a=setup:"+c.options.OfferSetup)
	}
	return &apiclient.Description{Type: "offer", SDP: offer.SDP}, nil
}

func (c *Client) answered(r *apiclient.Response) error {
	if r.Description == nil || r.Description.Type != "answer" || r.Renegotiate {
		return fmt.Errorf("an offer was answered with %+v, want an answer", r)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.Description.SDP}); err != nil {
		return fmt.Errorf("set remote answer: %w\n%s", err, r.Description.SDP)
	}
	return nil
}

func (c *Client) applyOffer(r *apiclient.Response) error {
	if r.Description == nil || r.Description.Type != "offer" || !r.Renegotiate {
		return fmt.Errorf("got %+v, want an offer that asks for renegotiation", r)
	}
	if err := c.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: r.Description.SDP}); err != nil {
		return fmt.Errorf("set remote offer: %w\n%s", err, r.Description.SDP)
	}
	return nil
}

func (c *Client) sendAnswer(ctx context.Context) error {
	answer, err := c.pc.CreateAnswer(nil)
	if err != nil {
		return fmt.Errorf("create answer: %w", err)
	}
	if err := c.pc.SetLocalDescription(answer); err != nil {
		return fmt.Errorf("set local answer: %w", err)
	}
	if c.options.ThirdParty {
		if answer.SDP, err = c.gathered(); err != nil {
			return err
		}
	}
	return c.api.Renegotiate(ctx, c.session, answer.SDP)
}

// gathered returns the local description with its candidates.
func (c *Client) gathered() (string, error) {
	select {
	case <-webrtc.GatheringCompletePromise(c.pc):
		return c.pc.LocalDescription().SDP, nil
	case <-c.ctx.Done():
		return "", c.ctx.Err()
	}
}

func (c *Client) transceiver(mid string) *webrtc.RTPTransceiver {
	for _, t := range c.pc.GetTransceivers() {
		if t.Mid() == mid {
			return t
		}
	}
	return nil
}

func remote(refs []Ref) []apiclient.Track {
	tracks := make([]apiclient.Track, len(refs))
	for i, r := range refs {
		tracks[i] = apiclient.Track{Location: "remote", SessionID: r.Session, TrackName: r.Track, Simulcast: r.Simulcast}
	}
	return tracks
}

// pulled checks that the response has one item per ref, in order.
func (c *Client) pulled(refs []Ref, r *apiclient.Response) ([]*Inbound, error) {
	if len(r.Tracks) != len(refs) {
		return nil, fmt.Errorf("%d results for %d pulls", len(r.Tracks), len(refs))
	}
	ins := make([]*Inbound, len(refs))
	for i, item := range r.Tracks {
		if item.SessionID != refs[i].Session || item.TrackName != refs[i].Track {
			return nil, fmt.Errorf("result %d is of %s/%s, want %s/%s", i, item.SessionID, item.TrackName, refs[i].Session, refs[i].Track)
		}
		switch {
		case item.ErrorCode != "" && item.Mid != "":
			return nil, fmt.Errorf("result %d failed with a mid: %+v", i, item)
		case item.ErrorCode == "" && item.Mid == "":
			return nil, fmt.Errorf("result %d succeeded without a mid: %+v", i, item)
		case item.ErrorCode == "":
			ins[i] = c.Inbound(item.Mid)
		}
	}
	return ins, nil
}

func itemOf(r *apiclient.Response, mid string) (apiclient.Track, error) {
	for _, item := range r.Tracks {
		if item.Mid == mid && item.ErrorCode == "" {
			return item, nil
		}
	}
	return apiclient.Track{}, fmt.Errorf("no good result for section %q: %+v", mid, r.Tracks)
}

func itemErrors(r *apiclient.Response) error {
	var errs []error
	for _, item := range r.Tracks {
		if item.ErrorCode != "" {
			errs = append(errs, &apiclient.Error{Status: 200, Code: item.ErrorCode, Text: item.ErrorText})
		}
	}
	return errors.Join(errs...)
}
