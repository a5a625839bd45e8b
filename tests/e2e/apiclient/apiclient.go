// Package apiclient speaks the HTTP API as a stranger would: its types are
// written from the published contract and share nothing with the server, so
// that a test fails when the server's idea of the contract moves.
//
// A Client is safe for concurrent use.
package apiclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// maxResponse bounds a response body, bytes.
const maxResponse = 2 << 20

// Description is an SDP with its type, "offer" or "answer".
type Description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

// Track is one entry of a request or of a response. Location is "local" for a
// push and "remote" for a pull.
type Track struct {
	Location      string     `json:"location,omitempty"`
	Mid           string     `json:"mid,omitempty"`
	SessionID     string     `json:"sessionId,omitempty"`
	TrackName     string     `json:"trackName,omitempty"`
	Kind          string     `json:"kind,omitempty"`
	Bidirectional bool       `json:"bidirectionalMediaStream,omitempty"`
	Simulcast     *Simulcast `json:"simulcast,omitempty"`
	Status        string     `json:"status,omitempty"`
	ErrorCode     string     `json:"errorCode,omitempty"`
	ErrorText     string     `json:"errorDescription,omitempty"`
}

// Simulcast is what a pull wants of a track's layers.
type Simulcast struct {
	PreferredRID     string `json:"preferredRid"`
	PriorityOrdering string `json:"priorityOrdering,omitempty"`
	RIDNotAvailable  string `json:"ridNotAvailable,omitempty"`
}

// Request is the body of tracks/new, tracks/close, renegotiate and sessions/new.
type Request struct {
	Description  *Description `json:"sessionDescription,omitempty"`
	Tracks       []Track      `json:"tracks,omitempty"`
	AutoDiscover bool         `json:"autoDiscover,omitempty"`
	Force        *bool        `json:"force,omitempty"`
}

// Response is the body of every answer; which fields are set depends on the call.
type Response struct {
	SessionID   string       `json:"sessionId"`
	Renegotiate bool         `json:"requiresImmediateRenegotiation"`
	Description *Description `json:"sessionDescription"`
	Tracks      []Track      `json:"tracks"`
	ErrorCode   string       `json:"errorCode"`
	ErrorSub    string       `json:"errorSubcode"`
	ErrorText   string       `json:"errorDescription"`
}

// Error is an answer that says the whole call failed.
type Error struct {
	Status  int
	Code    string
	Subcode string
	Text    string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("HTTP %d %s: %s", e.Status, e.Code, e.Text)
}

// Status returns the HTTP status of an answer that err reports, or 0.
func Status(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Code returns the errorCode of an answer that err reports, or "".
func Code(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Client calls one App's API on one or several replicas in turn.
type Client struct {
	bases  []string
	app    string
	secret string
	http   *http.Client
	next   *atomic.Uint64
}

// New returns a client of app. Each base is one replica's address, such as
// "http://127.0.0.1:8080/v1"; successive calls go to successive replicas.
func New(app, secret string, bases ...string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Client{bases: bases, app: app, secret: secret, http: client, next: new(atomic.Uint64)}
}

// Via returns a client whose calls all go to replica i. It shares c's connections.
func (c *Client) Via(i int) *Client {
	one := *c
	one.bases = c.bases[i : i+1]
	return &one
}

// Replicas returns how many replicas the client knows.
func (c *Client) Replicas() int { return len(c.bases) }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NewSession creates a session and returns its id.
func (c *Client) NewSession(ctx context.Context) (string, error) {
	r, err := c.call(ctx, http.MethodPost, "/sessions/new", nil, http.StatusCreated)
	if err != nil {
		return "", err
	}
	return r.SessionID, nil
}

// NewThirdPartySession creates a session whose client is an ICE-lite server.
func (c *Client) NewThirdPartySession(ctx context.Context) (string, error) {
	r, err := c.call(ctx, http.MethodPost, "/sessions/new?thirdparty=true", nil, http.StatusCreated)
	if err != nil {
		return "", err
	}
	return r.SessionID, nil
}

// NewTracks pushes or pulls.
func (c *Client) NewTracks(ctx context.Context, session string, body Request) (*Response, error) {
	return c.call(ctx, http.MethodPost, "/sessions/"+session+"/tracks/new", body, http.StatusOK)
}

// Renegotiate delivers the answer to the server's offer.
func (c *Client) Renegotiate(ctx context.Context, session, sdp string) error {
	body := Request{Description: &Description{Type: "answer", SDP: sdp}}
	_, err := c.call(ctx, http.MethodPut, "/sessions/"+session+"/renegotiate", body, http.StatusOK)
	return err
}

// CloseTracks ends the tracks of mids; offer is nil for a forced close.
func (c *Client) CloseTracks(ctx context.Context, session string, offer *Description, mids ...string) (*Response, error) {
	force := offer == nil
	body := Request{Description: offer, Force: &force}
	for _, mid := range mids {
		body.Tracks = append(body.Tracks, Track{Mid: mid})
	}
	return c.call(ctx, http.MethodPut, "/sessions/"+session+"/tracks/close", body, http.StatusOK)
}

// Session returns the tracks of a session.
func (c *Client) Session(ctx context.Context, session string) (*Response, error) {
	return c.call(ctx, http.MethodGet, "/sessions/"+session, nil, http.StatusOK)
}

// call fails with *Error on any status but want, and on an errorCode in the
// body whatever the status.
func (c *Client) call(ctx context.Context, method, path string, body any, want int) (*Response, error) {
	base := c.bases[int(c.next.Add(1)-1)%len(c.bases)]
	var content io.Reader = http.NoBody
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, base+"/apps/"+c.app+path, content)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.secret)
	if body != nil {
		// What a browser sends for a string body: the server must not mind.
		request.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return decode(method+" "+path, answer, want)
}

func decode(call string, answer *http.Response, want int) (*Response, error) {
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxResponse))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", call, err)
	}
	if t := answer.Header.Get("Content-Type"); !strings.HasPrefix(t, "application/json") {
		return nil, fmt.Errorf("%s: HTTP %d with content type %q, want application/json", call, answer.StatusCode, t)
	}
	var r Response
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%s: HTTP %d, body is no JSON object: %w", call, answer.StatusCode, err)
	}
	if answer.StatusCode != want || r.ErrorCode != "" {
		e := &Error{Status: answer.StatusCode, Code: r.ErrorCode, Subcode: r.ErrorSub, Text: r.ErrorText}
		return &r, fmt.Errorf("%s: %w", call, e)
	}
	return &r, nil
}
