//go:build !race

// The race detector makes sync.Pool drop items at random, so what is pooled
// allocates now and then; without it nothing may.

package netio

import "testing"

func TestBurstAllocatesNothing(t *testing.T) {
	m, to := listen(t, Config{}), addressOf(client(t))
	h, e := getConn(t, m, "alice"), m.Egress("alice")
	media := rtpOf(1200, 0)
	if got := testing.AllocsPerRun(200, func() {
		e.Cork()
		for range 3 {
			if _, err := h.WriteToAddrPort(media, to); err != nil {
				t.Fatal(err)
			}
		}
		if lost := e.Uncork(); lost != 0 {
			t.Fatal(lost)
		}
	}); got != 0 {
		t.Errorf("%v allocations per burst", got)
	}
}
