package command

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"switchboard/shared/ids"
	"switchboard/shared/wire"
)

// FuzzDecode: whatever bytes arrive, decode answers a valid command or an
// error that may be shown.
func FuzzDecode(f *testing.F) {
	valid, _ := wire.Encode(get())
	for _, op := range wire.Operations {
		f.Add(string(op), "cmd-1", "8000", wire.ContentTypeJSON, valid)
	}
	f.Add("create", "", "", "", []byte(`{"app":"a","session":"00000000000000000000000000000000","sessionDescription":{"type":"offer"}}`))
	f.Add("tracks-new", "", "0", "", []byte(`{"app":"a","session":"00000000000000000000000000000000","pull":[{"trackName":"t","origin":{"worker":"w"}}]}`))
	f.Add("none", "*", "99999999999999999999", "x", []byte("null"))
	f.Fuzz(func(t *testing.T, op, id, budget, contentType string, body []byte) {
		d, err := decode(wire.Operation(op), nats.Header{
			wire.HeaderCommandID: {id}, wire.HeaderBudget: {budget}, wire.HeaderContentType: {contentType},
		}, body)
		if err != nil {
			if !errors.Is(err, wire.ErrInvalid) {
				t.Fatalf("error %v does not wrap ErrInvalid", err)
			}
			return
		}
		if d.Message == nil || d.Message.Validate() != nil || d.ref.Validate() != nil {
			t.Fatalf("accepted an invalid message: %+v", d)
		}
		if _, err := ids.ParseCommandID(string(d.ID)); err != nil {
			t.Fatal(err)
		}
		if d.budget < 0 || d.budget > maxBudget {
			t.Fatalf("budget %v", d.budget)
		}
	})
}
