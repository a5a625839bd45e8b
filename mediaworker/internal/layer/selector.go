// Package layer decides which layer of a publication one subscriber gets. It is
// pure: what is sent changes only with the packets and wishes given to it, and
// only at a packet that decoding can start with.
package layer

import (
	"switchboard/mediaworker/internal/packet"
	"switchboard/shared/wire"
)

// None is the index of no layer.
const None = -1

// Layer is one encoding of a publication. Its index is packet.Packet.Layer.
type Layer struct {
	// RID is the restriction id (RFC 8851); empty for a plain track. By
	// convention a = best … z = worst.
	RID string
	// Active: the publisher is sending it.
	Active bool
}

// Wish is what a subscriber wants.
type Wish struct {
	// Preferred is the wanted layer; empty is the best active one.
	Preferred string
	// Strict: send nothing when the preferred layer is not active. Otherwise
	// the next active layer after it in the order of rids takes its place, or
	// else the nearest before it.
	Strict bool
}

// WishOf reads a wish from the protocol; nil is automatic. Where it does not
// say what to do without the preferred layer, another one takes its place: a
// frozen picture helps nobody.
func WishOf(s *wire.Simulcast) Wish {
	if s == nil {
		return Wish{}
	}
	return Wish{
		Preferred: s.PreferredRID,
		Strict:    s.PreferredRID != "" && s.RIDNotAvailable == wire.OrderingNone,
	}
}

// Target returns the index of the layer to send, or None. A plain track has
// one layer, which is sent whatever the wish.
func Target(w Wish, layers []Layer) int {
	if len(layers) == 1 && layers[0].RID == "" {
		return 0
	}
	best, after, before := None, None, None
	for i, l := range layers {
		if !l.Active {
			continue
		}
		if l.RID == w.Preferred {
			return i
		}
		if best == None || l.RID < layers[best].RID {
			best = i
		}
		if l.RID > w.Preferred && (after == None || l.RID < layers[after].RID) {
			after = i
		}
		if l.RID < w.Preferred && (before == None || l.RID > layers[before].RID) {
			before = i
		}
	}
	switch {
	case w.Preferred == "":
		return best
	case w.Strict:
		return None
	case after != None:
		return after
	}
	return before
}

// Verdict is what to do with a packet.
type Verdict uint8

const (
	// Drop means that the packet is not for this subscriber.
	Drop Verdict = iota
	// Wait means to drop it, and to ask for a keyframe: the layer is wanted, but
	// decoding cannot start here.
	Wait
	// Switch means to send it as the first packet of a layer or stream.
	Switch
	// Forward means to send it.
	Forward
)

// Selector chooses the packets of one subscription. Its owner serialises the
// calls.
type Selector struct {
	wish    Wish
	layers  []Layer
	current int // None: nothing is being sent
	target  int
	stream  uint32 // of current
}

// NewSelector returns a selector that knows no layers yet.
func NewSelector(w Wish) Selector { return Selector{wish: w, current: None, target: None} }

// SetWish changes the wish and reports whether another layer is wanted now.
func (s *Selector) SetWish(w Wish) bool {
	s.wish = w
	return s.retarget()
}

// SetLayers says which layers there are now, and reports whether another layer
// is wanted. The slice is the selector's from now on.
func (s *Selector) SetLayers(layers []Layer) bool {
	s.layers = layers
	return s.retarget()
}

func (s *Selector) retarget() bool {
	target := Target(s.wish, s.layers)
	if target == None && !s.wish.Strict {
		// The publisher pauses: what is being sent goes on when it resumes.
		target = s.target
	}
	if target == None {
		s.current = None
	}
	changed := target != s.target
	s.target = target
	return changed
}

// Reset forgets the layers and what was being sent: another publication takes
// over.
func (s *Selector) Reset() {
	s.layers, s.current, s.target, s.stream = nil, None, None, 0
}

// Select decides about the next packet.
func (s *Selector) Select(p *packet.Packet) Verdict {
	index := int(p.Layer)
	switch {
	case index == s.current && p.Stream == s.stream:
		return Forward
	case index != s.target:
		return Drop
	case !p.Media.Keyframe:
		return Wait
	}
	s.current, s.stream = index, p.Stream
	return Switch
}

// Current is the index of the layer being sent, or None.
func (s *Selector) Current() int { return s.current }

// Target is the index of the layer that is wanted, or None.
func (s *Selector) Target() int { return s.target }
