package forward

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v4/packetio"

	"switchboard/shared/wire"
)

const ntpSecond = 1 << 32

func TestSenderReportsAreRewritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Video), newPeer(t)
		bind(t, publisher, p, Stream{SSRC: 7, RID: "q", Codec: vp8})
		bind(t, publisher, p, Stream{SSRC: 8, RID: "f", Codec: vp8})
		q, f := newCamera(t, publisher.Leg, 7, 96, 1), newCamera(t, publisher.Leg, 8, 96, 1)
		q.header.Timestamp, f.header.Timestamp = 0, 5_000_000
		s, v := subscribe(t, leg, p, SubscriptionConfig{Wish: &wire.Simulcast{PreferredRID: "q"}})
		q.frame(true)
		settle() // else f may be there first and take q's place
		f.frame(true)
		pass(10 * time.Second)
		if got := written[*rtcp.SenderReport](leg); len(got) != 0 {
			t.Errorf("reported %v before the publisher did", got[0])
		}
		// Both layers' last pictures were taken ten seconds before NTP second 1000.
		publisher.hear(t,
			&rtcp.SenderReport{SSRC: 7, NTPTime: 1000 * ntpSecond, RTPTime: q.header.Timestamp + 900000},
			&rtcp.SenderReport{SSRC: 8, NTPTime: 1000 * ntpSecond, RTPTime: f.header.Timestamp + 900000})
		settle()
		check := func(ntp uint64, rtp uint32) {
			t.Helper()
			got := written[*rtcp.SenderReport](leg)
			if len(got) == 0 {
				t.Fatal("no sender report")
			}
			last := got[len(got)-1]
			if last.SSRC != 1000 || last.NTPTime != ntp || last.RTPTime != rtp {
				t.Errorf("report ties %d.%d to %d, want %d to %d", last.NTPTime>>32, uint32(last.NTPTime), last.RTPTime, ntp>>32, rtp)
			}
			if names := written[*rtcp.SourceDescription](leg); len(names) != len(got) || names[0].Chunks[0].Items[0].Text != "sfu" {
				t.Errorf("descriptions %v", names)
			}
		}
		check(1000*ntpSecond, 903000)
		pass(time.Second)
		check(1001*ntpSecond, 993000)

		// The same instant keeps its outgoing timestamp when the layer changes.
		s.SetWish(&wire.Simulcast{PreferredRID: "f"})
		f.header.Timestamp += 11*90000 - 3000
		f.frame(true)
		settle()
		packets := v.take()
		if got := packets[len(packets)-1].Timestamp; got != 993000 {
			t.Errorf("the new layer begins at %d, want 993000", got)
		}
		check(1001*ntpSecond, 993000)
	})
}

func TestReceptionReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 65530)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		for i := range 20 {
			if i%4 == 3 {
				cam.next(false)
			} else {
				cam.frame(i == 0)
			}
			pass(33 * time.Millisecond)
		}
		cam.frame(false)
		publisher.hear(t, &rtcp.SenderReport{SSRC: 7, NTPTime: 0x1234_5678_9abc_def0})
		_ = written[*rtcp.ReceiverReport](publisher)
		pass(time.Second)
		got := written[*rtcp.ReceiverReport](publisher)
		if len(got) != 1 || len(got[0].Reports) != 1 {
			t.Fatalf("reports %v", got)
		}
		r := got[0].Reports[0]
		if r.SSRC != 7 || r.TotalLost != 5 || r.LastSequenceNumber != 1<<16+14 || r.FractionLost == 0 {
			t.Errorf("report %+v", r)
		}
		if r.LastSenderReport != 0x5678_9abc || r.Delay == 0 || r.Delay > 1<<16 {
			t.Errorf("last report %x, delay %d", r.LastSenderReport, r.Delay)
		}
	})
}

func TestSubscribersReports(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p, leg := newPeer(t), newPublication(t, wire.Video), newPeer(t)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		s, _ := subscribe(t, leg, p, SubscriptionConfig{})
		cam.frame(true)
		publisher.hear(t, &rtcp.SenderReport{SSRC: 7, NTPTime: 1000 * ntpSecond, RTPTime: 3000})
		pass(time.Second)
		srs := written[*rtcp.SenderReport](leg)
		pass(250 * time.Millisecond)
		_ = written[*rtcp.PictureLossIndication](publisher)
		leg.hear(t,
			&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{
				{SSRC: 1000, FractionLost: 64, TotalLost: 9, LastSenderReport: middle(srs[len(srs)-1].NTPTime), Delay: 1 << 16 / 5},
				{SSRC: 1001}, // another stream in the same report
			}},
			&rtcp.TransportLayerCC{
				Header:    rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5, Padding: true},
				MediaSSRC: 1000, PacketStatusCount: 1,
				PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketNotReceived, RunLength: 1}},
			},
			&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{1000, 1001}},
			&rtcp.PictureLossIndication{MediaSSRC: 1000},
			&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1000, SequenceNumber: 1}}},
		)
		settle()
		state := s.State()
		if state.Loss != 0.25 || state.Lost != 9 {
			t.Errorf("loss %v, %d packets", state.Loss, state.Lost)
		}
		if rtt := state.RTT - 50*time.Millisecond; rtt < -time.Millisecond || rtt > time.Millisecond || leg.RTT() != state.RTT {
			t.Errorf("round trip %v and %v, want 50ms", state.RTT, leg.RTT())
		}
		if got := leg.Stats(); got.TransportReports != 1 || got.Estimates != 1 {
			t.Errorf("counted %+v, want each message once", got)
		}
		if got := written[*rtcp.PictureLossIndication](publisher); len(got) != 1 {
			t.Errorf("%d keyframe requests for a PLI and a FIR, want 1", len(got))
		}
	})
}

func TestTransportFeedback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		publisher, p := newPeer(t), newPublication(t, wire.Video)
		publisher.SetTransportCC(5)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		number := uint16(65500)
		send := func(n int) {
			for range n {
				h, payload := cam.next(true)
				if err := h.SetExtension(5, []byte{byte(number >> 8), byte(number)}); err != nil {
					t.Fatal(err)
				}
				number++
				cam.write(h, payload)
			}
		}
		reported := func() (n uint16) {
			for _, f := range written[*rtcp.TransportLayerCC](publisher) {
				n += f.PacketStatusCount
			}
			return n
		}
		send(10)
		pass(transportEvery)
		if got := reported(); got != 10 {
			t.Errorf("reported %d packets, want 10", got)
		}
		pass(time.Millisecond)
		send(transportMost)
		settle()
		if got := reported(); got != transportMost {
			t.Errorf("reported %d packets at once, want %d", got, transportMost)
		}
		pass(time.Second)
		if got := reported(); got != 0 {
			t.Errorf("reported %d packets of silence", got)
		}
	})
}

func TestBlockedRTCPStopsOnlyItsLeg(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		publisher := &peer{Leg: NewLeg(LegConfig{WriteRTCP: func([]rtcp.Packet) error { <-gate; return io.ErrClosedPipe }})}
		p := newPublication(t, wire.Video)
		cam := newCamera(t, publisher.Leg, 7, 96, 1)
		bind(t, publisher, p, Stream{SSRC: 7, Codec: vp8})
		_, v := subscribe(t, newPeer(t), p, SubscriptionConfig{})
		cam.frame(true)
		pass(2 * time.Second)
		for range 2 * maxPosted {
			cam.next(false)
			cam.frame(false)
			settle()
		}
		if got := len(v.take()); got != 2*maxPosted+1 {
			t.Errorf("got %d packets", got)
		}
		if got := len(publisher.tick.posted()); got > maxPosted {
			t.Errorf("%d messages wait", got)
		}
		publisher.Close()
		close(gate)
	})
}

// pion's SRTCP session writes one packet to the buffer of every SSRC that it
// names. Held against the real one: each is handled once.
func TestPionDeliversEachMessageOnce(t *testing.T) {
	leg := newPeer(t)
	near, far := net.Pipe()
	config := func(factory func(packetio.BufferPacketType, uint32) io.ReadWriteCloser) *srtp.Config {
		key, salt := make([]byte, 16), make([]byte, 14)
		return &srtp.Config{
			Profile: srtp.ProtectionProfileAes128CmHmacSha1_80, BufferFactory: factory,
			LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
			Keys:          srtp.SessionKeys{LocalMasterKey: key, LocalMasterSalt: salt, RemoteMasterKey: key, RemoteMasterSalt: salt},
		}
	}
	factory := func(kind packetio.BufferPacketType, ssrc uint32) io.ReadWriteCloser {
		return leg.Buffer(ssrc, kind == packetio.RTCPBufferPacket)
	}
	receiver, err := srtp.NewSessionSRTCP(near, config(factory))
	if err != nil {
		t.Fatal(err)
	}
	sender, err := srtp.NewSessionSRTCP(far, config(nil))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			if _, _, err := receiver.AcceptStream(); err != nil {
				return
			}
		}
	}()
	w, err := sender.OpenWriteStream()
	if err != nil {
		t.Fatal(err)
	}
	const rounds = 20
	for range rounds {
		b, err := rtcp.Marshal([]rtcp.Packet{
			&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 1}, {SSRC: 2}}},
			&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1e6, SSRCs: []uint32{1, 2, 3}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	// The pipe has no buffer: the last packet was read, so all before it were
	// handled; closing waits for the last one.
	if err := sender.Close(); err != nil {
		t.Fatal(err)
	}
	if err := receiver.Close(); err != nil {
		t.Fatal(err)
	}
	<-accepted
	if got := leg.Stats(); got.Estimates != rounds || got.Malformed != 0 {
		t.Errorf("counted %+v, want %d estimates", got, rounds)
	}
}

func FuzzRTCP(f *testing.F) {
	for _, p := range []rtcp.Packet{
		&rtcp.SenderReport{SSRC: 7, Reports: []rtcp.ReceptionReport{{SSRC: 1000}}},
		nackFor(1000, 1, 2, 3, 500),
		&rtcp.PictureLossIndication{MediaSSRC: 1000},
		&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1000}}},
		&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 1, SSRCs: []uint32{1000}},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint32(1000), b)
	}
	leg := newPeer(f)
	p := newPublication(f, wire.Video)
	bind(f, leg, p, Stream{SSRC: 7, Codec: vp8})
	_, _ = subscribe(f, leg, p, SubscriptionConfig{})
	f.Fuzz(func(t *testing.T, ssrc uint32, b []byte) {
		if n, err := leg.Buffer(ssrc, true).Write(b); n != len(b) || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, len(b), err)
		}
	})
}
