package session

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/webrtc/v4"

	"switchboard/shared/wire"
)

// roles are the DTLS roles in which a client may answer an SFU's offer; zero is
// pion's own choice for an ICE-lite offer, passive.
var roles = map[string]webrtc.DTLSRole{"default": 0, "active": webrtc.DTLSRoleClient, "passive": webrtc.DTLSRoleServer}

func TestPushPull(t *testing.T) {
	for name, role := range roles {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			publisher, viewer := r.client(role), r.client(role)
			reply := publisher.push(publisher.send("mic", wire.Audio, 65530), publisher.send("cam", wire.Video, 65530))
			if reply.SessionDescription.Type != wire.Answer || reply.Publications == nil || len(*reply.Publications) != 2 {
				t.Fatalf("reply is %+v", reply)
			}
			mids := viewer.pull(publisher, "mic", "cam")
			if diff := cmp.Diff([]string{"0", "1"}, mids); diff != "" {
				t.Error("first mids of a session (-want +got):\n", diff)
			}
			viewer.waitPackets(50, mids...)
			for _, mid := range mids {
				if holes := gaps(viewer.received(mid)); holes > 0 {
					t.Errorf("%d holes in section %s", holes, mid)
				}
			}
		})
	}
}

// gaps counts the numbers that are missing between the first and the last.
func gaps(numbers []uint16) int {
	missing := 0
	for i := 1; i < len(numbers); i++ {
		missing += int(numbers[i]-numbers[i-1]) - 1
	}
	return missing
}
