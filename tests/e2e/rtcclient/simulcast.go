package rtcclient

import (
	"context"
	"fmt"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"switchboard/tests/e2e/apiclient"
)

// PushSimulcast publishes layers of one name as one track. Each has its own
// RID; all are declared in the offer, whether they send or are paused.
func (c *Client) PushSimulcast(ctx context.Context, layers ...*Source) error {
	c.negotiating.Lock()
	defer c.negotiating.Unlock()
	t, err := c.pc.AddTransceiverFromTrack(layers[0].track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	for _, l := range layers[1:] {
		if err := t.Sender().AddEncoding(l.track); err != nil {
			return fmt.Errorf("layer %q: %w", l.RID(), err)
		}
	}
	offer, err := c.offer()
	if err != nil {
		return err
	}
	response, err := c.api.NewTracks(ctx, c.session, apiclient.Request{
		Description: offer,
		Tracks:      []apiclient.Track{{Location: "local", Mid: t.Mid(), TrackName: layers[0].Name()}},
	})
	if err != nil {
		return err
	}
	if err := c.answered(response); err != nil {
		return err
	}
	if _, err := itemOf(response, t.Mid()); err != nil {
		return err
	}
	for _, l := range layers {
		l.extensions = make(map[uint8]string)
		for _, e := range t.Sender().GetParameters().HeaderExtensions {
			switch e.URI {
			case sdp.SDESMidURI:
				l.extensions[uint8(e.ID)] = t.Mid()
			case sdp.SDESRTPStreamIDURI:
				l.extensions[uint8(e.ID)] = l.RID()
			}
		}
		if len(l.extensions) != 2 {
			return fmt.Errorf("the answer left out extensions that name a layer: %v", l.extensions)
		}
		c.own(t.Mid(), l)
		c.start(l, t.Sender())
	}
	return nil
}
