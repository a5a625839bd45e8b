package netio

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/pion/stun/v4"
)

func rtpPacket(ssrc uint32) []byte {
	b := []byte{0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'x'}
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

func rtcpPacket(ssrc uint32) []byte {
	b := []byte{0x80, 201, 0, 1, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(b[4:], ssrc)
	return b
}

func TestAdmissionBoundsSSRCs(t *testing.T) {
	a := newAdmission()
	for i := range uint32(firstSSRCs / 2) {
		if !a.admits(rtpPacket(2*i)) || !a.admits(rtcpPacket(2*i+1)) {
			t.Fatal("refused SSRC", 2*i)
		}
	}
	admitted := 0
	for i := range uint32(10 * firstSSRCs) {
		if a.admits(rtpPacket(1<<20 + i)) {
			admitted++
		}
	}
	if admitted > firstSSRCs/10 {
		t.Errorf("%d SSRCs admitted beyond the first lot", admitted)
	}
	if !a.admits(rtpPacket(0)) || !a.admits(rtcpPacket(0)) || !a.admits(rtcpPacket(1)) {
		t.Error("a known SSRC is refused")
	}
}

func TestAdmissionBoundsRTCP(t *testing.T) {
	a, admitted := newAdmission(), 0
	for range 10 * rtcpBurst {
		if a.admits(rtcpPacket(1)) {
			admitted++
		}
	}
	if admitted < rtcpBurst || admitted > rtcpBurst+rtcpPerSecond {
		t.Errorf("%d RTCP packets admitted at once, want about %d", admitted, rtcpBurst)
	}
	if !a.admits(rtpPacket(1)) {
		t.Error("media is refused with too much RTCP")
	}
}

func TestMuxDropsSSRCsBeyondTheLimit(t *testing.T) {
	m := listen(t, Config{})
	to := m.Addresses()[0]
	h, from := getConn(t, m, "alice"), client(t)
	check := bindRequest(t, "alice:r")
	send(t, from, to, check)
	address := wantRead(t, h, string(check))
	if _, err := h.WriteToAddrPort(bindSuccess(t), address); err != nil {
		t.Fatal(err)
	}
	for i := range uint32(2 * firstSSRCs) {
		send(t, from, to, rtpPacket(i))
		if i%64 == 63 { // the socket's buffer holds no more than some hundreds
			eventually(t, "the packets arrive", func() bool { return m.Counters().Received >= uint64(i)+2 })
		}
	}
	stats, _ := m.Stats("alice")
	if stats.MediaPackets < firstSSRCs || stats.MediaPackets > firstSSRCs+firstSSRCs/10 {
		t.Errorf("%d packets of %d streams delivered, want about %d", stats.MediaPackets, 2*firstSSRCs, firstSSRCs)
	}
}

// An agent remembers every address from which a client, which knows its
// password, has checked.
func TestMuxDropsChecksFromAddressesBeyondTheLimit(t *testing.T) {
	m := listen(t, Config{})
	to := m.Addresses()[0]
	h := getConn(t, m, "alice")
	check := bindRequest(t, "alice:r")
	var last *net.UDPConn
	for range firstAddresses {
		last = client(t)
		send(t, last, to, check)
		if _, err := h.WriteToAddrPort(bindSuccess(t), wantRead(t, h, string(check))); err != nil {
			t.Fatal(err)
		}
	}
	send(t, client(t), to, check)
	eventually(t, "the check of one address too many is dropped", func() bool {
		stats, _ := m.Stats("alice")
		return stats.Dropped == 1
	})
	wantEmpty(t, h)
	send(t, last, to, check)
	wantRead(t, h, string(check))
}

func bindSuccess(t *testing.T) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingSuccess)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}
