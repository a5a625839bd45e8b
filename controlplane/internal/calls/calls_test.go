package calls

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchboard/shared/fault"
	"switchboard/shared/ids"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// What calls answer on a session that never negotiated, without a worker.
func TestNeverNegotiated(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	ref := r.session(t)

	state, err := r.Describe(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	want := &wire.SessionState{SessionRef: ref, Connection: wire.ConnectionNew, Tracks: []wire.TrackState{}}
	if diff := cmp.Diff(want, state); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	wantFault(t, r.Renegotiate(t.Context(), wire.Renegotiate{SessionRef: ref, SessionDescription: clientAnswer}), fault.HaveNoOffer)

	closed, err := r.CloseTracks(t.Context(), wire.TracksClose{SessionRef: ref, Mids: []string{"0", "x"}, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, closed.Tracks, fault.CloseTrackError, fault.CloseTrackError)
	if closed.Tracks[0].Mid != "0" || closed.Tracks[1].Mid != "x" || closed.Description != nil {
		t.Errorf("result %+v", closed)
	}

	unknown := ids.TrackKey{Session: ids.NewSessionID(), Track: "cam"}
	pulled, err := r.Pull(t.Context(), pullOf(ref, unknown, ids.TrackKey{Session: "not a session", Track: "cam"}))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound, fault.TrackNotFound)
	if pulled.Description != nil || pulled.Tracks[0].Session != unknown.Session || pulled.Tracks[0].TrackName != "cam" || pulled.Tracks[0].Mid != "" {
		t.Errorf("result %+v", pulled)
	}
	if got := r.owner(t, ref); got.Worker != "" {
		t.Errorf("the session was placed on %s", got.Worker)
	}
}

// A claimed session of which its worker has not heard yet is as good as new.
func TestClaimedButNeverNegotiated(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.session(t)
	if _, err := r.directory.Claim(t.Context(), ref, w.ID, ""); err != nil {
		t.Fatal(err)
	}
	if state, err := r.Describe(t.Context(), ref); err != nil || state.Connection != wire.ConnectionNew {
		t.Errorf("state %+v, error %v", state, err)
	}
	wantFault(t, r.Renegotiate(t.Context(), wire.Renegotiate{SessionRef: ref, SessionDescription: clientAnswer}), fault.HaveNoOffer)
	if _, err := r.Push(t.Context(), pushOf(ref, "cam")); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A close with an offer is answered with SDP whatever happened to its items.
func TestCloseAnswersTheOffer(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	c.worker(testkit.WorkerOptions{}, r)
	for name, ref := range map[string]wire.SessionRef{"new": r.session(t), "negotiated": r.pushed(t, "cam")} {
		closed, err := r.CloseTracks(t.Context(), wire.TracksClose{SessionRef: ref, Mids: []string{"7"}, SessionDescription: clientOffer})
		if err != nil {
			t.Fatal(err)
		}
		wantItems(t, closed.Tracks, fault.CloseTrackError)
		if closed.Description == nil || *closed.Description != answerOfSFU {
			t.Errorf("%s session: description %+v", name, closed.Description)
		}
	}
}

func TestPullPartialSuccess(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	publisher := r.pushed(t, "cam")
	unplaced := r.session(t)
	unknown := ids.TrackKey{Session: ids.NewSessionID(), Track: "cam"}

	ref := r.session(t)
	pulled, err := r.Pull(t.Context(), pullOf(ref, unknown, key(publisher, "cam"), key(unplaced, "cam"), key(publisher, "none")))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound, nil, fault.TrackNotFound, fault.TrackNotFound)
	if pulled.Description == nil || *pulled.Description != offerOfSFU {
		t.Errorf("description %+v, want an offer", pulled.Description)
	}
	if err := r.Renegotiate(t.Context(), wire.Renegotiate{SessionRef: ref, SessionDescription: clientAnswer}); err != nil {
		t.Error(err)
	}

	// Nothing to pull on a session that is placed: its worker is not asked.
	before := w.Received()
	pulled, err = r.Pull(t.Context(), pullOf(ref, unknown))
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound)
	if w.Received() != before {
		t.Error("the worker was asked")
	}

	// With the client's own offer it is, because the offer needs an answer.
	withOffer := pullOf(r.session(t), unknown)
	withOffer.Offer = clientOffer
	pulled, err = r.Pull(t.Context(), withOffer)
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, fault.TrackNotFound)
	if pulled.Description == nil || *pulled.Description != answerOfSFU {
		t.Errorf("description %+v, want an answer", pulled.Description)
	}
}

// The caller's origins are not believed.
func TestPullIgnoresTheCallersOrigin(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	c.worker(testkit.WorkerOptions{}, r)
	p := pullOf(r.session(t), key(r.pushed(t, "cam"), "cam"))
	p.Tracks[0].Origin = &wire.Origin{Worker: "elsewhere"}
	pulled, err := r.Pull(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	wantItems(t, pulled.Tracks, nil)
	if p.Tracks[0].Origin.Worker != "elsewhere" {
		t.Error("the caller's request was changed")
	}
}

func TestDescribeAndClose(t *testing.T) {
	c := newCluster(t)
	r := c.replica(Options{})
	w := c.worker(testkit.WorkerOptions{}, r)
	ref := r.pushed(t, "cam", "mic")
	state, err := r.Describe(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if state.Worker != w.ID || len(state.Tracks) != 2 {
		t.Errorf("state %+v", state)
	}
	if _, err := r.CloseTracks(t.Context(), wire.TracksClose{SessionRef: ref, Mids: []string{"0"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	names, err := testkit.RedisClient(t, c.address).HKeys(t.Context(), "sfu:s:{"+string(ref.Session)+"}:t").Result()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"mic"}, names); diff != "" {
		t.Errorf("the directory's tracks (-want +got):\n%s", diff)
	}
}
