package sdpx

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// protocols are the transports of media (RFC 8829 section 5.1.2) and of data
// channels (RFC 8841 section 4.3); the older DTLS/SCTP form is not served.
var protocols = map[Kind][]string{
	Audio:       mediaProtocols,
	Video:       mediaProtocols,
	Application: {"UDP/DTLS/SCTP", "TCP/DTLS/SCTP"},
}

var mediaProtocols = []string{
	"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF",
	"RTP/SAVPF", "RTP/SAVP", "RTP/AVPF", "RTP/AVP",
}

// validate checks what concerns the section alone. Ended sections are checked
// too where pion reads them.
func (s *Section) validate() *Error {
	allowed, known := protocols[s.Kind]
	if !known {
		return unusable(s, "is of kind %s: only audio, video and application are served", s.Kind)
	}
	if s.Live() && !slices.Contains(allowed, s.Protocol) {
		return unusable(s, "uses %s: use %s", s.Protocol, allowed[0])
	}
	if s.Kind == Application {
		return nil
	}
	if s.Live() && !s.RTCPMux {
		return unusable(s, "has no a=rtcp-mux: RTP and RTCP share one port, set rtcpMuxPolicy to require")
	}
	if err := s.validateFormats(); err != nil {
		return err
	}
	if err := s.validateExtensions(); err != nil {
		return err
	}
	if s.Direction.Sends() && s.tracks() > 1 {
		return unusable(s, "declares several media streams by a=ssrc: unified plan has one track per section, and simulcast by a=rid")
	}
	return nil
}

// validateFormats: pion refuses a description over a format without codec.
func (s *Section) validateFormats() *Error {
	media := s.media
	if len(media.MediaName.Formats) == 0 {
		return unusable(s, "lists no payload types")
	}
	codecs := codecMap(media)
	var seen [128]bool
	for _, format := range media.MediaName.Formats {
		number, err := strconv.ParseUint(format, 10, 8)
		if err != nil || number > 127 {
			return unusable(s, "lists payload type %.20q: a payload type is a number from 0 to 127", format)
		}
		if seen[number] {
			return unusable(s, "lists payload type %d twice", number)
		}
		seen[number] = true
		codec, ok := codecs[uint8(number)]
		if !ok || codec.Name == "" {
			return unusable(s, "lists payload type %d without an a=rtpmap for it", number)
		}
		if apt, ok := parameter(codec.Fmtp, "apt"); ok {
			if _, err := strconv.ParseUint(apt, 10, 8); err != nil {
				return unusable(s, "repairs payload type %.20q (apt of %d), which is not a number", apt, number)
			}
		}
	}
	return nil
}

// parameter finds a format parameter (RFC 8866 section 6.15).
func parameter(fmtp, name string) (value string, ok bool) {
	for p := range strings.SplitSeq(fmtp, ";") {
		key, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(key, name) {
			value, ok = v, true // the last one counts for pion
		}
	}
	return value, ok
}

// validateExtensions: pion refuses a description over an a=extmap it cannot read.
func (s *Section) validateExtensions() *Error {
	for _, a := range s.media.Attributes {
		if a.Key != sdp.AttrKeyExtMap {
			continue
		}
		var e sdp.ExtMap
		if err := e.Unmarshal(a.String()); err != nil {
			return unusable(s, "has an unusable a=extmap:%.80s", a.Value)
		}
	}
	return nil
}

// tracks counts the tracks that pion sees in a sending section, in its own
// way: with several it takes the description for plan B and applies half of it.
func (s *Section) tracks() int {
	var streams []uint64
	repair := map[uint64]bool{}
	stream, track, rids := "", "", 0
	for _, a := range s.media.Attributes {
		fields := strings.Split(a.Value, " ")
		switch a.Key {
		case sdp.AttrKeySSRCGroup:
			if len(fields) != 3 || fields[0] != sdp.SemanticTokenFlowIdentification && fields[0] != sdp.SemanticTokenForwardErrorCorrectionFramework {
				continue
			}
			_, err := strconv.ParseUint(fields[1], 10, 32)
			repairing, errRepair := strconv.ParseUint(fields[2], 10, 32)
			if err != nil || errRepair != nil {
				continue
			}
			repair[repairing] = true
			streams = slices.DeleteFunc(streams, func(ssrc uint64) bool { return ssrc == repairing })
		case sdp.AttrKeyMsid:
			if len(fields) == 2 {
				stream, track = fields[0], fields[1]
			}
		case sdp.AttrKeySSRC:
			ssrc, err := strconv.ParseUint(fields[0], 10, 32)
			if err != nil || repair[ssrc] {
				continue
			}
			if len(fields) == 3 && strings.HasPrefix(fields[1], "msid:") {
				stream, track = fields[1][len("msid:"):], fields[2]
			}
			if !slices.Contains(streams, ssrc) {
				streams = append(streams, ssrc)
			}
		case "rid":
			rids++
		}
	}
	if rids > 0 && stream != "" && track != "" {
		return 1
	}
	return len(streams)
}
