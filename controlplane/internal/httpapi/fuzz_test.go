package httpapi_test

import (
	"testing"

	"switchboard/controlplane/internal/calls"
	"switchboard/shared/wire"
)

// FuzzBody sends any body to every operation that takes one: there is always a
// response, and it always fits the specification. What reaches a use case is
// within the limits of the NATS protocol.
func FuzzBody(f *testing.F) {
	h := newHarness(f, nil)
	operations := []struct{ method, path string }{
		{"POST", "/sessions/new"},
		{"POST", "/sessions/" + session + "/tracks/new"},
		{"PUT", "/sessions/" + session + "/tracks/close"},
		{"PUT", "/sessions/" + session + "/renegotiate"},
	}
	for i, op := range operations {
		f.Add(byte(i), []byte(plain[map[string]string{"/sessions/new": "createSession", operations[1].path: "newTracks", operations[2].path: "closeTracks", operations[3].path: "renegotiate"}[op.path]]))
	}
	for _, x := range h.spec.Examples(f) {
		for i, op := range operations {
			if x.Method == op.method && pathOf(x.Path) == op.path {
				f.Add(byte(i), x.Request)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		op := operations[int(which)%len(operations)]
		h.calls.say(echoResults)
		status, _, text := h.send(t, request(op.method, op.path, string(body)))
		if status >= 500 {
			t.Errorf("status %d: %s", status, text)
		}
		if err := valid(h.calls.called()); err != nil {
			t.Errorf("the use case was asked %v", err)
		}
	})
}

// echoResults answers a call with one good result per track.
func echoResults(call any) (any, error) {
	switch c := call.(type) {
	case calls.CreateSession:
		return calls.CreatedSession{Session: session}, nil
	case calls.Push:
		result := calls.TracksResult{}
		for _, p := range c.Tracks {
			result.Tracks = append(result.Tracks, wire.TrackResult{Mid: "0", TrackName: p.TrackName, Kind: wire.Audio})
		}
		return result, nil
	case calls.Pull:
		result := calls.TracksResult{}
		for _, p := range c.Tracks {
			result.Tracks = append(result.Tracks, wire.TrackResult{Mid: "0", TrackName: p.Track, Session: p.Session, Kind: wire.Audio})
		}
		return result, nil
	case wire.TracksClose:
		return calls.TracksResult{Tracks: make([]wire.TrackResult, len(c.Mids))}, nil
	}
	return nil, nil
}

// valid holds a call against the protocol that it is sent with.
func valid(call any) error {
	switch c := call.(type) {
	case calls.CreateSession:
		return c.Offer.Validate()
	case calls.Push:
		return (&wire.TracksNew{SessionRef: c.SessionRef, SessionDescription: c.Offer, AutoDiscover: c.AutoDiscover, Push: c.Tracks}).Validate()
	case calls.Pull:
		return (&wire.TracksNew{SessionRef: c.SessionRef, SessionDescription: c.Offer, Pull: c.Tracks}).Validate()
	case wire.TracksClose:
		return c.Validate()
	case wire.Renegotiate:
		return c.Validate()
	}
	return nil
}
