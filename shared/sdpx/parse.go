package sdpx

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Parse reads a description. It accepts bare line feeds, blank lines and a
// missing last line end; it refuses what exceeds the limits before looking any
// closer. Two repairs go into Text, because pion would fail over what they
// mend: a media section without a direction gets the one that RFC 8866 section
// 6.7 gives it, and candidates that cannot be used are left out (RFC 8839
// section 5.1 has agents ignore them).
//
// A refusal is an [*Error] with reason Malformed or TooLarge.
func Parse(text string) (*Description, error) {
	text, err := normalise(text)
	if err != nil {
		return nil, err
	}
	parsed := &sdp.SessionDescription{}
	if err := parsed.UnmarshalString(text); err != nil {
		return nil, refuse(Malformed, "The session description cannot be parsed (%v): send it unchanged, as the WebRTC stack made it.", err)
	}
	d := &Description{Text: text, parsed: parsed, Bundle: bundleOf(parsed)}
	_, d.ICELite = parsed.Attribute(sdp.AttrKeyICELite)
	shared := sharedBy(parsed)
	d.Sections = make([]Section, len(parsed.MediaDescriptions))
	work := 0
	for i, media := range parsed.MediaDescriptions {
		if err := d.Sections[i].read(i, media, shared); err != nil {
			return nil, err
		}
		work += len(media.MediaName.Formats) * len(media.Attributes)
	}
	if work > maxWork {
		return nil, refuse(TooLarge, "The session description lists too many codecs in too many sections: offer fewer codecs per section.")
	}
	return d, nil
}

// bundleOf lists the mids of the first group attribute if it is a BUNDLE:
// pion looks at no other.
func bundleOf(parsed *sdp.SessionDescription) []string {
	group, _ := parsed.Attribute(sdp.AttrKeyGroup)
	if fields := strings.Fields(group); len(fields) > 0 && fields[0] == "BUNDLE" {
		return fields[1:]
	}
	return nil
}

// read fills a section from pion's parse of it.
func (s *Section) read(index int, media *sdp.MediaDescription, all shared) *Error {
	if len(media.Attributes) > maxAttributes || len(media.MediaName.Formats) > maxFormats {
		return refuse(TooLarge, "Media section %d has over %d attributes or %d formats.", index, maxAttributes, maxFormats)
	}
	s.Index, s.media = index, media
	s.Kind = Kind(media.MediaName.Media)
	s.Protocol = strings.Join(media.MediaName.Protos, "/")
	port := media.MediaName.Port.Value
	if port < 0 || port > 65535 {
		return refuse(Malformed, "Media section %d has port %d: a port is 0 to 65535.", index, port)
	}
	s.Port = uint16(port)
	s.Mid, _ = media.Attribute(sdp.AttrKeyMID)
	s.ICEUfrag = attribute(media, "ice-ufrag", all.ufrag)
	s.ICEPwd = attribute(media, "ice-pwd", all.pwd)
	s.Setup = Setup(attribute(media, sdp.AttrKeyConnectionSetup, all.setup))
	s.Fingerprints = fingerprints(media.Attributes)
	if len(s.Fingerprints) == 0 {
		s.Fingerprints = all.fingerprints
	}
	for _, a := range media.Attributes {
		s.readAttribute(a)
	}
	s.readSources(media.Attributes)
	if s.Kind == Audio || s.Kind == Video {
		s.readCodecs(media)
	}
	return nil
}

// readAttribute reads the attributes that stand for themselves.
func (s *Section) readAttribute(a sdp.Attribute) {
	switch a.Key {
	case sdp.AttrKeySendRecv, sdp.AttrKeySendOnly, sdp.AttrKeyRecvOnly, sdp.AttrKeyInactive:
		if s.Direction == "" {
			s.Direction = Direction(a.Key)
		}
	case "bundle-only":
		s.BundleOnly = true
	case sdp.AttrKeyRTCPMux:
		s.RTCPMux = true
	case sdp.AttrKeyExtMap:
		var e sdp.ExtMap
		if e.Unmarshal(a.String()) == nil {
			s.Extensions = append(s.Extensions, Extension{ID: uint16(e.Value), URI: e.URI.String()})
		}
	case sdp.AttrKeyMsid:
		stream, track, _ := strings.Cut(a.Value, " ")
		s.Msids = append(s.Msids, Msid{Stream: stream, Track: track})
	case "rid":
		fields := strings.SplitN(a.Value, " ", 3)
		if len(fields) >= 2 {
			rid := RID{ID: fields[0], Send: fields[1] == "send"}
			if len(fields) == 3 {
				rid.Restrictions = fields[2]
			}
			s.RIDs = append(s.RIDs, rid)
		}
	case "simulcast":
		fields := strings.Fields(a.Value)
		for i := 0; i+1 < len(fields); i += 2 {
			switch fields[i] {
			case "send":
				s.Simulcast.Send = strings.Split(fields[i+1], ";")
			case "recv":
				s.Simulcast.Recv = strings.Split(fields[i+1], ";")
			}
		}
	case sdp.AttrKeyCandidate:
		s.Candidates = append(s.Candidates, strings.TrimPrefix(a.Value, "candidate:"))
	}
}

// readSources lists the media streams by SSRC, each with its retransmissions.
func (s *Section) readSources(attributes []sdp.Attribute) {
	rtx := map[uint32]uint32{}     // media → retransmission
	isRepair := map[uint32]bool{}  // retransmission and FEC streams
	position := map[uint32]int{}   // in Sources
	for _, a := range attributes { // groups may stand after the streams they name
		if a.Key != sdp.AttrKeySSRCGroup {
			continue
		}
		fields := strings.Fields(a.Value)
		if len(fields) != 3 || fields[0] != "FID" && fields[0] != "FEC-FR" {
			continue
		}
		media, ok := ssrcOf(fields[1])
		repair, okRepair := ssrcOf(fields[2])
		if !ok || !okRepair {
			continue
		}
		isRepair[repair] = true
		if fields[0] == "FID" {
			rtx[media] = repair
		}
	}
	for _, a := range attributes {
		if a.Key != sdp.AttrKeySSRC {
			continue
		}
		id, _, _ := strings.Cut(a.Value, " ")
		ssrc, ok := ssrcOf(id)
		if _, seen := position[ssrc]; !ok || seen || isRepair[ssrc] {
			continue
		}
		position[ssrc] = len(s.Sources)
		s.Sources = append(s.Sources, Source{SSRC: ssrc, RTX: rtx[ssrc]})
	}
}

// readCodecs lists the codecs of the section's formats, in its order.
func (s *Section) readCodecs(media *sdp.MediaDescription) {
	codecs := codecMap(media)
	for _, format := range media.MediaName.Formats {
		number, err := strconv.ParseUint(format, 10, 8)
		if err != nil {
			continue // the validators refuse it
		}
		c, ok := codecs[uint8(number)]
		if !ok {
			continue
		}
		channels, _ := strconv.ParseUint(c.EncodingParameters, 10, 16)
		s.Codecs = append(s.Codecs, Codec{
			PayloadType: uint8(number),
			Name:        c.Name,
			ClockRate:   c.ClockRate,
			Channels:    uint16(channels),
			Fmtp:        c.Fmtp,
			Feedback:    slices.Clone(c.RTCPFeedback),
		})
	}
}

// codecMap is pion's own reading of a section's payload types.
func codecMap(media *sdp.MediaDescription) map[uint8]sdp.Codec {
	return (&sdp.SessionDescription{MediaDescriptions: []*sdp.MediaDescription{media}}).GetCodecMap()
}

// shared are the attributes of the session part that sections inherit.
type shared struct {
	ufrag, pwd, setup string
	fingerprints      []Fingerprint
}

func sharedBy(session *sdp.SessionDescription) shared {
	s := shared{fingerprints: fingerprints(session.Attributes)}
	s.ufrag, _ = session.Attribute("ice-ufrag")
	s.pwd, _ = session.Attribute("ice-pwd")
	s.setup, _ = session.Attribute(sdp.AttrKeyConnectionSetup)
	return s
}

// attribute is the section's own value, else the inherited one.
func attribute(media *sdp.MediaDescription, key, inherited string) string {
	if value, ok := media.Attribute(key); ok {
		return value
	}
	return inherited
}

// fingerprints lists well-formed a=fingerprint values.
func fingerprints(attributes []sdp.Attribute) []Fingerprint {
	var list []Fingerprint
	for _, a := range attributes {
		if a.Key != "fingerprint" {
			continue
		}
		if f, ok := fingerprintOf(a.Value); ok {
			list = append(list, f)
		}
	}
	return list
}

func fingerprintOf(value string) (Fingerprint, bool) {
	algorithm, hash, ok := strings.Cut(value, " ")
	return Fingerprint{Algorithm: strings.ToLower(algorithm), Value: strings.ToUpper(hash)}, ok
}

func ssrcOf(text string) (uint32, bool) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err == nil
}
