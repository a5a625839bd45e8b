package peer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"

	"switchboard/mediaworker/internal/forward"
	"switchboard/shared/sdpx"
	"switchboard/shared/wire"
)

const h264Mode = "level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s"

// codec is one entry of the table of supported formats. rtx is 0 where
// retransmissions have no format of their own.
type codec struct {
	mime      string
	clockRate uint32
	channels  uint16
	fmtp      string
	pt, rtx   uint8
}

// codecs lists the supported formats in the order in which we offer them to a
// client that is to send. The payload types are those that browsers use. Of a
// client's offer every profile of these formats is accepted, not only the ones
// listed here.
var codecs = []codec{
	{"audio/opus", 48000, 2, "minptime=10;useinbandfec=1", 111, 0},
	{"audio/red", 48000, 2, "111/111", 63, 0},
	{"audio/G722", 8000, 0, "", 9, 0},
	{"audio/PCMU", 8000, 0, "", 0, 0},
	{"audio/PCMA", 8000, 0, "", 8, 0},
	{"video/VP8", 90000, 0, "", 96, 97},
	{"video/H264", 90000, 0, fmt.Sprintf(h264Mode, 1, "42001f"), 102, 103},
	{"video/H264", 90000, 0, fmt.Sprintf(h264Mode, 1, "42e01f"), 106, 107},
	{"video/H264", 90000, 0, fmt.Sprintf(h264Mode, 0, "42e01f"), 108, 109},
	{"video/H264", 90000, 0, fmt.Sprintf(h264Mode, 1, "4d001f"), 127, 125},
	{"video/H264", 90000, 0, fmt.Sprintf(h264Mode, 1, "64001f"), 112, 113},
	{"video/AV1", 90000, 0, "level-idx=5;profile=0;tier=0", 45, 46},
	{"video/VP9", 90000, 0, "profile-id=0", 98, 99},
	{"video/VP9", 90000, 0, "profile-id=2", 100, 101},
	{"video/H265", 90000, 0, "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", 49, 50},
}

// feedback is what we understand per kind (RFC 4585 section 4.2). Retransmission
// formats take none.
var feedback = map[sdpx.Kind][]string{
	sdpx.Audio: {"transport-cc"},
	sdpx.Video: {"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"},
}

func (c codec) kind() sdpx.Kind {
	kind, _, _ := strings.Cut(c.mime, "/")
	return sdpx.Kind(kind)
}

func (c codec) forward() forward.Codec {
	return forward.Codec{MimeType: c.mime, ClockRate: c.clockRate, Channels: c.channels, Fmtp: c.fmtp, PayloadType: c.pt, RTXPayloadType: c.rtx}
}

// supported reports whether we forward the format, in whatever profile.
func supported(f forward.Codec) bool {
	for _, c := range codecs {
		if strings.EqualFold(c.mime, f.MimeType) && c.clockRate == f.ClockRate && max(c.channels, 1) == max(f.Channels, 1) {
			return true
		}
	}
	return false
}

// URIs of header extensions that pass through the forwarder unread.
const (
	uriAudioLevel     = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
	uriOrientation    = "urn:3gpp:video-orientation"
	uriPlayoutDelay   = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
	uriAbsCaptureTime = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
	uriDependency     = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
	uriAllocation     = "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00"
)

// extension is a header extension that is negotiated. Those that only say
// something about a publisher's own stream are not offered to subscribers.
type extension struct {
	uri           string
	audio, video  bool
	onlyReceiving bool
}

// extensions lists what we negotiate; its length must leave ids in the one-byte
// form (RFC 8285 section 4.2).
var extensions = []extension{
	{uri: forward.URIMid, audio: true, video: true},
	{uri: forward.URIAbsSendTime, audio: true, video: true},
	{uri: forward.URITransportWide, audio: true, video: true},
	{uri: forward.URIStreamID, video: true, onlyReceiving: true},
	{uri: forward.URIRepairedID, video: true, onlyReceiving: true},
	{uri: uriAudioLevel, audio: true},
	{uri: uriAbsCaptureTime, audio: true, video: true},
	{uri: uriOrientation, video: true},
	{uri: uriPlayoutDelay, video: true},
	{uri: uriDependency, video: true},
	{uri: uriAllocation, video: true, onlyReceiving: true},
}

func (e extension) of(kind sdpx.Kind) bool {
	return kind == sdpx.Audio && e.audio || kind == sdpx.Video && e.video
}

// extensionIDs are the header extensions of the section that we support too.
func extensionIDs(section *sdpx.Section) forward.HeaderExtensions {
	ids := make(forward.HeaderExtensions, len(section.Extensions))
	for _, e := range section.Extensions {
		for _, ours := range extensions {
			if ours.uri == e.URI && ours.of(section.Kind) && e.ID > 0 && e.ID < 256 {
				ids[e.URI] = uint8(e.ID)
			}
		}
	}
	return ids
}

func pionKind(kind wire.Kind) webrtc.RTPCodecType {
	if kind == wire.Audio {
		return webrtc.RTPCodecTypeAudio
	}
	return webrtc.RTPCodecTypeVideo
}

// asForward returns the section's format with that payload type.
func asForward(section *sdpx.Section, c sdpx.Codec) forward.Codec {
	return forward.Codec{
		MimeType:  string(section.Kind) + "/" + c.Name,
		ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: c.Fmtp,
		PayloadType: c.PayloadType, RTXPayloadType: rtxOf(section, c.PayloadType),
	}
}

func isRTX(c sdpx.Codec) bool { return strings.EqualFold(c.Name, "rtx") }

func rtxOf(section *sdpx.Section, pt uint8) uint8 {
	for _, c := range section.Codecs {
		if apt, ok := fmtpValue(c.Fmtp, "apt"); ok && isRTX(c) && apt == strconv.Itoa(int(pt)) {
			return c.PayloadType
		}
	}
	return 0
}

// find returns the section's format that can carry a stream of codec.
func find(section *sdpx.Section, want forward.Codec) (forward.Codec, bool) {
	for _, c := range section.Codecs {
		if have := asForward(section, c); compatible(have, want) {
			return have, true
		}
	}
	return forward.Codec{}, false
}

// Carries reports whether the client can take a stream of the codec in its
// section.
func Carries(section *sdpx.Section, codec forward.Codec) bool {
	_, ok := find(section, codec)
	return ok
}

// compatible: the same format and, where it has profiles, the same profile. The
// level may differ (RFC 6184 section 8.2.2).
func compatible(a, b forward.Codec) bool {
	if !strings.EqualFold(a.MimeType, b.MimeType) || a.ClockRate != b.ClockRate || max(a.Channels, 1) != max(b.Channels, 1) {
		return false
	}
	switch strings.ToLower(a.MimeType) {
	case "video/h264":
		return h264Profile(a.Fmtp) == h264Profile(b.Fmtp)
	case "video/vp9":
		return fmtpOr(a.Fmtp, "profile-id", "0") == fmtpOr(b.Fmtp, "profile-id", "0")
	case "video/av1":
		return fmtpOr(a.Fmtp, "profile", "0") == fmtpOr(b.Fmtp, "profile", "0")
	}
	return true
}

// h264Profile is what must be the same on both sides: packetization mode and
// profile, the first two bytes of profile-level-id. Absent parameters have the
// defaults of RFC 6184 section 8.1.
func h264Profile(fmtp string) string {
	profile := strings.ToLower(fmtpOr(fmtp, "profile-level-id", "42001f"))
	return fmtpOr(fmtp, "packetization-mode", "0") + "/" + profile[:min(4, len(profile))]
}

func fmtpOr(fmtp, key, absent string) string {
	if v, ok := fmtpValue(fmtp, key); ok {
		return v
	}
	return absent
}

func fmtpValue(fmtp, key string) (string, bool) {
	for part := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return "", false
}
