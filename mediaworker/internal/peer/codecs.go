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

var (
	audioFeedback = []webrtc.RTCPFeedback{{Type: "transport-cc"}}
	videoFeedback = []webrtc.RTCPFeedback{
		{Type: "goog-remb"}, {Type: "transport-cc"}, {Type: "ccm", Parameter: "fir"},
		{Type: "nack"}, {Type: "nack", Parameter: "pli"},
	}
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

// codecs lists the supported formats in the order in which we offer them. The
// payload types are those that browsers use, so that few need mapping.
var codecs = []codec{
	{webrtc.MimeTypeOpus, 48000, 2, "minptime=10;useinbandfec=1", 111, 0},
	{"audio/red", 48000, 2, "111/111", 63, 0},
	{webrtc.MimeTypeG722, 8000, 0, "", 9, 0},
	{webrtc.MimeTypePCMU, 8000, 0, "", 0, 0},
	{webrtc.MimeTypePCMA, 8000, 0, "", 8, 0},
	{webrtc.MimeTypeVP8, 90000, 0, "", 96, 97},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 1, "42001f"), 102, 103},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 0, "42001f"), 104, 105},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 1, "42e01f"), 106, 107},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 0, "42e01f"), 108, 109},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 1, "4d001f"), 127, 125},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 0, "4d001f"), 39, 40},
	{webrtc.MimeTypeH264, 90000, 0, fmt.Sprintf(h264Mode, 1, "64001f"), 112, 113},
	{webrtc.MimeTypeAV1, 90000, 0, "level-idx=5;profile=0;tier=0", 45, 46},
	{webrtc.MimeTypeVP9, 90000, 0, "profile-id=0", 98, 99},
	{webrtc.MimeTypeVP9, 90000, 0, "profile-id=2", 100, 101},
	{webrtc.MimeTypeH265, 90000, 0, "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", 49, 50},
}

func (c codec) kind() wire.Kind {
	if strings.HasPrefix(c.mime, "audio/") {
		return wire.Audio
	}
	return wire.Video
}

// parameters returns the codec and, where it has one, its RTX format, as pion
// wants them.
func (c codec) parameters() []webrtc.RTPCodecParameters {
	feedback := videoFeedback
	if c.kind() == wire.Audio {
		feedback = audioFeedback
	}
	list := []webrtc.RTPCodecParameters{{
		RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: c.mime, ClockRate: c.clockRate, Channels: c.channels, SDPFmtpLine: c.fmtp, RTCPFeedback: feedback,
		},
		PayloadType: webrtc.PayloadType(c.pt),
	}}
	if c.rtx != 0 {
		list = append(list, webrtc.RTPCodecParameters{
			RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeRTX, ClockRate: c.clockRate, SDPFmtpLine: "apt=" + strconv.Itoa(int(c.pt)),
			},
			PayloadType: webrtc.PayloadType(c.rtx),
		})
	}
	return list
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

// newEngine returns a media engine with everything we support. It belongs to
// one PeerConnection: what was negotiated is kept in it.
func newEngine() (*webrtc.MediaEngine, error) {
	engine := &webrtc.MediaEngine{}
	for _, c := range codecs {
		for _, p := range c.parameters() {
			if err := engine.RegisterCodec(p, pionKind(c.kind())); err != nil {
				return nil, fmt.Errorf("register %s: %w", c.mime, err)
			}
		}
	}
	for _, e := range extensions {
		directions := []webrtc.RTPTransceiverDirection{webrtc.RTPTransceiverDirectionRecvonly}
		if !e.onlyReceiving {
			directions = append(directions, webrtc.RTPTransceiverDirectionSendonly)
		}
		for _, kind := range []wire.Kind{wire.Audio, wire.Video} {
			if kind == wire.Audio && !e.audio || kind == wire.Video && !e.video {
				continue
			}
			capability := webrtc.RTPHeaderExtensionCapability{URI: e.uri}
			if err := engine.RegisterHeaderExtension(capability, pionKind(kind), directions...); err != nil {
				return nil, fmt.Errorf("register %s: %w", e.uri, err)
			}
		}
	}
	return engine, nil
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

func rtxOf(section *sdpx.Section, pt uint8) uint8 {
	for _, c := range section.Codecs {
		if apt, ok := fmtpValue(c.Fmtp, "apt"); ok && strings.EqualFold(c.Name, "rtx") && apt == strconv.Itoa(int(pt)) {
			return c.PayloadType
		}
	}
	return 0
}

// find returns the section's format that can carry a stream of codec: the same
// format and, for H.264 and VP9, the same packetization and profile (RFC 6184
// section 8.2.2). The level may differ.
func find(section *sdpx.Section, want forward.Codec) (forward.Codec, bool) {
	for _, c := range section.Codecs {
		have := asForward(section, c)
		if compatible(have, want) {
			return have, true
		}
	}
	return forward.Codec{}, false
}

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
