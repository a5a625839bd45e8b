package command

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"switchboard/mediaworker/internal/session"
	"switchboard/shared/testkit"
	"switchboard/shared/wire"
)

// BenchmarkCommand measures a push with a usual SDP of 4 KiB, from a client's
// request to its reply over an in-process NATS, with a registry that answers
// at once: what the protocol costs beside the session's own work.
func BenchmarkCommand(b *testing.B) {
	bus := testkit.NATSServer(b)
	reply := &wire.Reply{Rev: 1, SessionDescription: &wire.SessionDescription{Type: wire.Answer, SDP: strings.Repeat("a=candidate\r\n", 315)}}
	s, err := Serve(Config{
		Conn: testkit.Connect(b, bus, "worker"), ID: workerID, Log: zap.NewNop(), Worker: &worker{},
		Registry: &answering{reply: reply},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	body, err := wire.Encode(&wire.TracksNew{
		SessionRef: ref, SessionDescription: &wire.SessionDescription{Type: wire.Offer, SDP: reply.SessionDescription.SDP},
		Push: []wire.Push{{Mid: "0", TrackName: "camera"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	nc := testkit.Connect(b, bus, "client")
	send := func(b *testing.B) {
		m := &nats.Msg{Subject: wire.WorkerSubject(workerID, wire.OpTracksNew), Data: body, Header: nats.Header{
			wire.HeaderContentType: {wire.ContentTypeJSON}, wire.HeaderCommandID: {"c"}, wire.HeaderBudget: {"8000"},
		}}
		if _, err := nc.RequestMsg(m, patience); err != nil {
			b.Error(err)
		}
	}
	b.Run("one at a time", func(b *testing.B) {
		for b.Loop() {
			send(b)
		}
	})
	b.Run("many at once", func(b *testing.B) {
		b.SetParallelism(64)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				send(b)
			}
		})
	})
}

// answering is a Registry with one answer to everything.
type answering struct {
	registry
	reply wire.Message
}

// Do implements Registry.
func (a *answering) Do(context.Context, session.Command) (wire.Message, error) { return a.reply, nil }
