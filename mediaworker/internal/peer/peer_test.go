package peer

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/rtp"
	"github.com/pion/transport/v4/packetio"
	"go.uber.org/goleak"

	"switchboard/mediaworker/internal/forward"
	"switchboard/mediaworker/internal/netio"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newFactory(t testing.TB) *Factory {
	t.Helper()
	mux, err := netio.Listen(netio.Config{UDP: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mux.Close() })
	f, err := NewFactory(Config{Mux: mux, Candidates: []sdpx.Candidate{{Address: mux.Addresses()[0]}}})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newPeer(t testing.TB) *Peer {
	t.Helper()
	p, err := newFactory(t).New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// media writes one media section of a client.
func media(kind, mid, direction, formats string, lines ...string) string {
	return fmt.Sprintf("m=%s 9 UDP/TLS/RTP/SAVPF %s\r\nc=IN IP4 0.0.0.0\r\na=mid:%s\r\na=%s\r\na=rtcp-mux\r\n", kind, formats, mid, direction) +
		"a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n" +
		"a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n" +
		strings.Join(append(lines, ""), "\r\n")
}

var (
	opus = []string{"a=rtpmap:111 opus/48000/2"}
	vp8  = []string{"a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"}
)

// description joins sections to a client's description.
func description(t testing.TB, setup string, sections ...string) *sdpx.Description {
	t.Helper()
	var mids []string
	for _, s := range sections {
		_, rest, _ := strings.Cut(s, "a=mid:")
		mid, _, _ := strings.Cut(rest, "\r\n")
		mids = append(mids, mid)
	}
	text := "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE " + strings.Join(mids, " ") + "\r\n" +
		"a=ice-ufrag:clnt\r\na=ice-pwd:0123456789012345678901\r\n" +
		"a=fingerprint:sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":") + "\r\na=setup:" + setup + "\r\n" +
		strings.Join(sections, "")
	d, err := sdpx.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parse(t testing.TB, text string, err error) *sdpx.Description {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	d, err := sdpx.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func names(section *sdpx.Section) []string {
	var list []string
	for _, c := range section.Codecs {
		list = append(list, fmt.Sprintf("%d %s %s", c.PayloadType, c.Name, c.Fmtp))
	}
	return list
}

func counter() func() string {
	n := -1
	return func() string { n++; return fmt.Sprintf("s%d", n) }
}

var film = forward.Codec{MimeType: "video/H264", ClockRate: 90000, Fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"}

func TestAnswerListsOnlyWhatWasOffered(t *testing.T) {
	p := newPeer(t)
	profile := "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c29"
	offer := description(t, "actpass",
		media("audio", "a", "sendonly", "111", opus...),
		media("video", "v", "sendonly", "96 97 125", append(vp8, "a=rtpmap:125 H264/90000", "a=fmtp:125 "+profile)...))
	if err := sdpx.ValidateOffer(offer, nil); err != nil {
		t.Fatal(err)
	}
	text, err := p.Answer(offer, nil)
	answer := parse(t, text, err)
	if diff := cmp.Diff([]string{"111 opus "}, names(answer.Section("a"))); diff != "" {
		t.Error("audio formats (-want +got):\n", diff)
	}
	// A profile that nobody listed in advance is answered as it was offered.
	if diff := cmp.Diff([]string{"96 VP8 ", "97 rtx apt=96", "125 H264 " + profile}, names(answer.Section("v"))); diff != "" {
		t.Error("video formats (-want +got):\n", diff)
	}
	if s := answer.Section("v"); s.Direction != sdpx.RecvOnly || s.Setup != sdpx.Passive || s.Mid != "v" {
		t.Errorf("section is %+v", s)
	}
}

// A session that began with one format can still be offered another one.
func TestOfferOfAnotherFormat(t *testing.T) {
	p := newPeer(t)
	if _, err := p.Answer(description(t, "active", media("video", "0", "sendonly", "96 97", vp8...)), nil); err != nil {
		t.Fatal(err)
	}
	out := &Outgoing{Kind: wire.Video, Stream: "s", Track: "t", Codec: film}
	if !p.CanSend(out) {
		t.Fatal("cannot offer H.264 after an exchange about VP8 alone")
	}
	text, mids, err := p.Offer([]Section{{Kind: wire.Video, Want: Want{Send: out}}}, map[string]Want{"0": {Receive: true}}, counter())
	offer := parse(t, text, err)
	section := offer.Section(mids[0])
	got := names(section)
	if len(got) != 2 || !strings.Contains(got[0], "H264 "+film.Fmtp) || !strings.Contains(got[1], "rtx apt=") {
		t.Errorf("the section lists %v", got)
	}
	if section.Direction != sdpx.SendOnly || section.Setup != sdpx.ActPass || len(section.Msids) != 1 {
		t.Errorf("section is %+v", section)
	}
	if p.CanSend(&Outgoing{Kind: wire.Video, Codec: forward.Codec{MimeType: "video/unheard-of", ClockRate: 90000}}) {
		t.Error("claims to send an unknown format")
	}
}

func TestWithdrawnOfferLeavesNothing(t *testing.T) {
	p := newPeer(t)
	first := media("audio", "0", "sendonly", "111", opus...)
	if _, err := p.Answer(description(t, "actpass", first), nil); err != nil {
		t.Fatal(err)
	}
	name := counter()
	out := &Outgoing{Kind: wire.Video, Stream: "s", Track: "t", Codec: film}
	for range 10 {
		if _, _, err := p.Offer([]Section{{Kind: wire.Video, Want: Want{Send: out}}}, map[string]Want{"0": {Receive: true}}, name); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Answer(description(t, "actpass", first), nil); err == nil {
			t.Fatal("answered while an offer is outstanding")
		}
		p.Withdraw()
		text, err := p.Answer(description(t, "actpass", first), nil)
		if answer := parse(t, text, err); len(answer.Sections) != 1 {
			t.Fatalf("answer has %d sections", len(answer.Sections))
		}
	}
	text, _, err := p.Offer([]Section{{Kind: wire.Video, Want: Want{Send: out}}}, map[string]Want{"0": {Receive: true}}, name)
	if offer := parse(t, text, err); len(offer.Sections) != 2 {
		t.Errorf("offer has %d sections after ten that were withdrawn", len(offer.Sections))
	}
	if _, ok := p.Sending("s0"); ok {
		t.Error("a section of a withdrawn offer sends")
	}
}

func packet(t *testing.T, ssrc uint32, pt uint8, sequence uint16, extensions map[uint8]string) []byte {
	t.Helper()
	h := rtp.Header{Version: 2, SSRC: ssrc, PayloadType: pt, SequenceNumber: sequence}
	for id, value := range extensions {
		if err := h.SetExtension(id, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := (&rtp.Packet{Header: h, Payload: []byte{0x10, 0, 0}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDemux(t *testing.T) {
	simulcast := append([]string{"a=rid:f send", "a=rid:h send", "a=simulcast:send f;h"}, vp8...)
	declared := append([]string{"a=ssrc-group:FID 10 11", "a=ssrc:10 cname:x", "a=ssrc:11 cname:x"}, vp8...)
	d := description(t, "actpass",
		media("video", "sim", "sendonly", "96 97", simulcast...),
		media("video", "one", "sendonly", "96 97", declared...),
		media("audio", "mic", "sendonly", "111", opus...),
		media("audio", "off", "recvonly", "9", "a=rtpmap:9 G722/8000"))
	layers := func(p *forward.Publication) map[string]uint64 {
		got := make(map[string]uint64)
		for _, l := range p.Layers() {
			got[l.RID] = l.Usage.IngressPackets
		}
		return got
	}
	type in struct {
		ssrc uint32
		pt   uint8
		ext  map[uint8]string
	}
	for name, c := range map[string]struct {
		packets []in
		want    map[string]map[string]uint64
	}{
		"declared":           {[]in{{10, 96, nil}, {10, 96, nil}}, map[string]map[string]uint64{"one": {"": 2}}},
		"rids":               {[]in{{1, 96, map[uint8]string{4: "sim", 10: "f"}}, {2, 96, map[uint8]string{4: "sim", 10: "h"}}, {1, 96, nil}}, map[string]map[string]uint64{"sim": {"f": 2, "h": 1}}},
		"rid comes late":     {[]in{{1, 96, map[uint8]string{4: "sim"}}, {1, 96, map[uint8]string{4: "sim", 10: "f"}}}, map[string]map[string]uint64{"sim": {"f": 1}}},
		"only the payload":   {[]in{{77, 111, nil}}, map[string]map[string]uint64{"mic": {"": 1}}},
		"nobody sends that":  {[]in{{78, 9, nil}, {79, 96, nil}, {80, 111, map[uint8]string{4: "off"}}}, nil},
		"unknown in section": {[]in{{10, 33, nil}}, nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			leg := forward.NewLeg(forward.LegConfig{})
			defer leg.Close()
			x := newDemux(leg, func() { t.Error("too many streams") })
			x.describe(d)
			publications := make(map[string]*forward.Publication)
			for _, mid := range []string{"sim", "one", "mic", "off"} {
				publications[mid] = forward.NewPublication(forward.PublicationConfig{})
				defer publications[mid].Close()
				x.publish(mid, publications[mid])
			}
			buffers := make(map[uint32]interface{ Write([]byte) (int, error) })
			for i, p := range c.packets {
				if buffers[p.ssrc] == nil {
					buffers[p.ssrc] = x.buffer(packetio.RTPBufferPacket, p.ssrc)
				}
				if _, err := buffers[p.ssrc].Write(packet(t, p.ssrc, p.pt, uint16(i), p.ext)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			got := make(map[string]map[string]uint64)
			for mid, p := range publications {
				if l := layers(p); len(l) > 0 {
					got[mid] = l
				}
			}
			if want := c.want; len(want) != len(got) || len(want) > 0 && cmp.Diff(want, got) != "" {
				t.Error(name, "(-want +got):\n", cmp.Diff(want, got))
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	in := "v=0\r\na=group:BUNDLE m0 m1\r\nm=audio 9 X 111\r\na=mid:m0\r\na=sendrecv\r\na=rtpmap:111 opus/48000\r\na=x\r\na=ssrc:1 x:y\r\nm=video 0 X 0\r\nc=IN IP4 0.0.0.0\r\n"
	want := "v=0\r\na=group:BUNDLE 0 m1\r\nm=audio 9 X 9\r\na=mid:0\r\na=x\r\na=recvonly\r\na=rtpmap:9 G722/8000\r\nm=video 0 X 0\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=inactive\r\n"
	got := rewrite(in, []edit{
		{mid: "0", direction: sdpx.RecvOnly, sources: true, content: &content{formats: []string{"9"}, lines: []string{"rtpmap:9 G722/8000"}}},
		{mid: "1", direction: sdpx.Inactive},
	})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
}

// One payload type and one extension id mean one thing in all of a bundle.
func TestNumbersAreUniqueInBundle(t *testing.T) {
	d := description(t, "actpass",
		media("video", "a", "sendonly", "96 102", "a=rtpmap:96 H264/90000", "a=fmtp:96 "+film.Fmtp, "a=rtpmap:102 rtx/90000", "a=fmtp:102 apt=96"),
		media("audio", "b", "sendonly", "97", "a=rtpmap:97 opus/48000/2", "a=extmap:1 urn:x"))
	var r registry
	r.learn(d)
	section := func(codec forward.Codec, kind string) *sdpx.Section {
		c := r.offerContent(sdpx.Kind(kind), offered(sdpx.Kind(kind), codec), false)
		return parse(t, description(t, "actpass", "m="+kind+" 9 UDP/TLS/RTP/SAVPF "+strings.Join(c.formats, " ")+
			"\r\na=mid:x\r\na=sendonly\r\na="+strings.Join(c.lines, "\r\na=")+"\r\n").Text, nil).Section("x")
	}
	known := section(film, "video")
	if diff := cmp.Diff([]string{"96 H264 " + film.Fmtp, "102 rtx apt=96"}, names(known)); diff != "" {
		t.Error("a format that the client numbered (-want +got):\n", diff)
	}
	for _, e := range known.Extensions {
		if e.ID == 1 || e.URI == forward.URIMid && e.ID != 4 || e.URI == forward.URIStreamID {
			t.Errorf("extension %d is %s", e.ID, e.URI)
		}
	}
	fresh := section(forward.Codec{MimeType: "video/VP8", ClockRate: 90000}, "video")
	for _, c := range fresh.Codecs {
		if c.PayloadType == 96 || c.PayloadType == 97 || c.PayloadType == 102 || c.PayloadType >= 64 && c.PayloadType < 96 {
			t.Errorf("payload type %d is taken", c.PayloadType)
		}
	}
	if again := section(forward.Codec{MimeType: "video/VP8", ClockRate: 90000}, "video"); cmp.Diff(names(fresh), names(again)) != "" {
		t.Error("the same format got other numbers:", names(fresh), names(again))
	}
}
