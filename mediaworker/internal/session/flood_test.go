package session

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"switchboard/shared/wire"
)

// A client that makes pion keep too much loses its connection and hears why;
// others notice nothing.
func TestFloods(t *testing.T) {
	for name, flood := range map[string]func(c *client) error{
		"RTCP about strangers": func(c *client) error {
			bye := &rtcp.Goodbye{Sources: make([]uint32, 31)}
			for i := range uint32(4000) { // some get lost
				for k := range bye.Sources {
					bye.Sources[k] = 1000 + 31*i + uint32(k)
				}
				_ = c.pc.WriteRTCP([]rtcp.Packet{bye}) // fails once it is cut off
			}
			return nil
		},
		"data channels": func(c *client) error {
			for range 40 {
				if _, err := c.pc.CreateDataChannel("one more", nil); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			speaker, listener := r.client(0), r.client(webrtc.DTLSRoleClient)
			speaker.push(speaker.send("mic", wire.Audio, 1))
			mids := listener.pull(speaker, "mic")
			listener.waitPackets(5, mids...)

			hostile := r.client(0)
			if _, err := hostile.pc.CreateDataChannel("first", nil); err != nil {
				t.Fatal(err)
			}
			hostile.push(hostile.send("mic", wire.Audio, 1))
			hostile.until("is connected", func(s *wire.SessionState) bool { return s.Connection == wire.ConnectionConnected })
			if err := flood(hostile); err != nil {
				t.Fatal(err)
			}
			hostile.until("is cut off", func(s *wire.SessionState) bool {
				return s.Connection == wire.ConnectionDisconnected && strings.HasSuffix(s.Verdict, "its connection was closed.")
			})
			listener.waitPackets(20, mids...)
		})
	}
}

// until waits for a state of the session.
func (c *client) until(what string, ok func(*wire.SessionState) bool) {
	c.t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for !ok(c.state(c.id)) {
		select {
		case <-tick.C:
		case <-late:
			c.t.Fatalf("the session never %s: %+v", what, c.state(c.id))
		}
	}
}
