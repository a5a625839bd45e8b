package sdpx

import (
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// ValidateOffer judges a client's offer, as Parse returned it. previous is the
// client's last negotiated description of the session, offer or answer, nil
// when there is none. What passes can be applied by pion; what does not is an
// [*Error] with reason Unusable or Mismatch.
//
// One repair goes into the offer and its Text: an ended section without a=mid
// (browsers write such, RFC 8829 section 5.3.1) gets the mid it had before, as
// pion needs one.
func ValidateOffer(offer, previous *Description) error {
	offer.giveMids(previous)
	if err := validate(offer, "offer"); err != nil {
		return err
	}
	for i := range offer.Sections {
		s := &offer.Sections[i]
		switch s.Setup {
		case ActPass, Active, Passive, "":
		default:
			return unusable(s, "has a=setup:%s: an offer says actpass", s.Setup)
		}
		if s.Live() && s.BundleOnly && offer.BundleTag() == s.Mid {
			return unusable(s, "is bundle-only and the BUNDLE tag at once: the first mid of the group needs a port")
		}
	}
	if previous != nil {
		if err := follows(offer, previous); err != nil {
			return err
		}
	}
	return nil
}

// ValidateAnswer judges a client's answer, as Parse returned it, to offer: the
// description that was sent to the client, parsed. Errors and the repair are
// as those of ValidateOffer.
func ValidateAnswer(answer, offer *Description) error {
	answer.giveMids(offer)
	if err := validate(answer, "answer"); err != nil {
		return err
	}
	if len(answer.Sections) != len(offer.Sections) {
		return refuse(Mismatch, "The answer has %d media sections, the offer has %d: answer the offer of this session's latest call.", len(answer.Sections), len(offer.Sections))
	}
	for i := range answer.Sections {
		if err := answers(&answer.Sections[i], &offer.Sections[i]); err != nil {
			return err
		}
	}
	for _, mid := range answer.Bundle {
		if !slices.Contains(offer.Bundle, mid) {
			return refuse(Mismatch, "The answer's BUNDLE group has mid %q, which is not in the offer's group.", mid)
		}
	}
	return nil
}

// answers compares one section of an answer with that of the offer.
func answers(a, o *Section) *Error {
	if a.Mid != o.Mid || a.Kind != o.Kind {
		return refuse(Mismatch, "Media section %d of the answer is %s with mid %q; the offer has %s with mid %q there: answer the offer of this session's latest call.", a.Index, a.Kind, a.Mid, o.Kind, o.Mid)
	}
	if !a.Live() {
		return nil
	}
	if !o.Live() {
		return mismatch(a, "is live, but the offer ended it: its port must be 0")
	}
	if a.Setup != Active && a.Setup != Passive {
		return unusable(a, "has a=setup:%s: an answer says active or passive", a.Setup)
	}
	if a.Direction.Sends() && !o.Direction.Receives() || a.Direction.Receives() && !o.Direction.Sends() {
		return mismatch(a, "answers %s with %s", o.Direction, a.Direction)
	}
	return nil
}

// follows compares an offer with the description before it (RFC 8829 section
// 5.2.2): sections keep their place, mid and kind; only ended ones are reused.
func follows(offer, previous *Description) *Error {
	if len(offer.Sections) < len(previous.Sections) {
		return refuse(Mismatch, "The offer has %d media sections, the session has %d: offer from the PeerConnection of this session.", len(offer.Sections), len(previous.Sections))
	}
	for i := range previous.Sections {
		was, is := &previous.Sections[i], &offer.Sections[i]
		if was.Live() && (was.Mid != is.Mid || was.Kind != is.Kind) {
			return refuse(Mismatch, "Media section %d of the offer is %s with mid %q; in this session it is %s with mid %q: offer from the PeerConnection of this session.", i, is.Kind, is.Mid, was.Kind, was.Mid)
		}
	}
	return nil
}

// validate makes the checks that offers and answers share.
func validate(d *Description, typ string) *Error {
	if len(d.Sections) == 0 {
		return refuse(Unusable, "The %s has no media section: add a track or a data channel before creating it.", typ)
	}
	mids := make(map[string]*Section, len(d.Sections))
	data := 0
	for i := range d.Sections {
		s := &d.Sections[i]
		if s.Mid == "" {
			return refuse(Unusable, "Media section %d of the %s has no a=mid: use a WebRTC stack with unified plan SDP.", i, typ)
		}
		if len(s.Mid) > maxMid || strings.ContainsFunc(s.Mid, notToken) {
			return refuse(Unusable, "Media section %d of the %s has an unusable mid: a mid is 1 to %d letters, digits or punctuation marks.", i, typ, maxMid)
		}
		if mids[s.Mid] != nil {
			return unusable(s, "stands twice in the %s: every section has its own mid", typ)
		}
		mids[s.Mid] = s
		if s.Kind == Application && s.Live() {
			data++
		}
		if err := s.validate(); err != nil {
			return err
		}
	}
	if data > 1 {
		return refuse(Unusable, "The %s has %d data channel sections: one carries all data channels.", typ, data)
	}
	if err := validateBundle(d, mids, typ); err != nil {
		return err
	}
	if err := validatePayloadTypes(d); err != nil {
		return err
	}
	if err := validateTransport(d, typ); err != nil {
		return err
	}
	return validateSetup(d)
}

// maxMid is the longest mid, bytes.
const maxMid = 128

// notToken: not part of a token (RFC 8866 section 9).
func notToken(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]`, r)
}

// validateBundle: all live sections share one transport.
func validateBundle(d *Description, mids map[string]*Section, typ string) *Error {
	for i, mid := range d.Bundle {
		if mids[mid] == nil {
			return refuse(Unusable, "The BUNDLE group of the %s has mid %q, but there is no such section.", typ, mid)
		}
		if slices.Contains(d.Bundle[:i], mid) {
			return refuse(Unusable, "The BUNDLE group of the %s has mid %q twice.", typ, mid)
		}
	}
	for i := range d.Sections {
		if s := &d.Sections[i]; s.Live() && !slices.Contains(d.Bundle, s.Mid) {
			return unusable(s, "is not in the %s's BUNDLE group, which must be the first a=group line: one transport carries all sections, set bundlePolicy to max-bundle", typ)
		}
	}
	return nil
}

// validatePayloadTypes: in one BUNDLE group a payload type means one codec (RFC
// 9143 section 9.1). Some clients renumber when they offer after answering, so
// that an audio and a video section share a number; that is harmless where the
// packets name their section in another way. Sections of one kind cannot
// differ: pion numbers the codecs of a kind once.
func validatePayloadTypes(d *Description) *Error {
	type use struct {
		codec   *Codec
		section *Section
	}
	var used [256]use
	for i := range d.Sections {
		s := &d.Sections[i]
		if !s.Live() {
			continue
		}
		for j := range s.Codecs {
			c := &s.Codecs[j]
			first := used[c.PayloadType]
			if first.codec == nil {
				used[c.PayloadType] = use{c, s}
				continue
			}
			if sameCodec(first.codec, c) && first.section.Kind == s.Kind {
				continue
			}
			if first.section.Kind == s.Kind || !first.section.recognisable() || !s.recognisable() {
				return unusable(s, "gives payload type %d to %s, but section %q gives it to %s: in one BUNDLE group a payload type means one codec",
					c.PayloadType, c.Name, first.section.Mid, first.codec.Name)
			}
		}
	}
	return nil
}

// recognisable reports whether the packets of the section, if it sends any,
// can be told from others without their payload type.
func (s *Section) recognisable() bool {
	return !s.Direction.Sends() || len(s.Sources) > 0 && len(s.RIDs) == 0 ||
		slices.ContainsFunc(s.Extensions, func(e Extension) bool { return e.URI == sdp.SDESMidURI })
}

func sameCodec(a, b *Codec) bool {
	return strings.EqualFold(a.Name, b.Name) && a.ClockRate == b.ClockRate && max(a.Channels, 1) == max(b.Channels, 1)
}

// validateTransport checks ICE credentials and fingerprint where pion takes
// them from: the session level, else the section of the BUNDLE tag, else, when
// there is no group, the first section (or the first with a fingerprint).
func validateTransport(d *Description, typ string) *Error {
	transport := &d.Sections[0]
	if tag := d.BundleTag(); tag != "" {
		transport = d.Section(tag)
	}
	if transport.ICEUfrag == "" || transport.ICEPwd == "" {
		return unusable(transport, "has no a=ice-ufrag and a=ice-pwd, and the %s has none for all sections", typ)
	}
	if len(transport.ICEUfrag) > maxUfrag || len(transport.ICEPwd) > maxUfrag {
		return unusable(transport, "has ICE credentials over %d bytes", maxUfrag)
	}
	// With one of the two in the session part pion takes the other from nowhere.
	sharedUfrag, _ := d.parsed.Attribute("ice-ufrag")
	sharedPwd, _ := d.parsed.Attribute("ice-pwd")
	if (sharedUfrag == "") != (sharedPwd == "") {
		return refuse(Unusable, "The session part of the %s has only one of a=ice-ufrag and a=ice-pwd: write both in one place.", typ)
	}
	value, ok := d.parsed.Attribute("fingerprint")
	if !ok {
		value, ok = d.parsed.MediaDescriptions[transport.Index].Attribute("fingerprint")
	}
	if !ok {
		return unusable(transport, "has no a=fingerprint, and the %s has none for all sections", typ)
	}
	return validateFingerprint(transport, value)
}

// maxUfrag is the longest ICE user fragment and password (RFC 8839 section 5.4).
const maxUfrag = 256

// hashLengths are the lengths of the hashes that pion verifies, bytes.
var hashLengths = map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}

func validateFingerprint(s *Section, value string) *Error {
	f, ok := fingerprintOf(value)
	length := hashLengths[f.Algorithm]
	if !ok || length == 0 {
		return unusable(s, "has a=fingerprint:%.80s: the hash is one of sha-1, sha-224, sha-256, sha-384 and sha-512", value)
	}
	if len(f.Value) != 3*length-1 {
		return unusable(s, "has a fingerprint of %d characters: %s has %d", len(f.Value), f.Algorithm, 3*length-1)
	}
	for i, r := range []byte(f.Value) {
		if i%3 == 2 && r != ':' || i%3 != 2 && !strings.ContainsRune("0123456789ABCDEF", rune(r)) {
			return unusable(s, "has a fingerprint that is not pairs of hexadecimal digits with colons between them")
		}
	}
	return nil
}

// validateSetup: pion takes the DTLS role from the first a=setup of any media
// section; it must be that of the live sections.
func validateSetup(d *Description) *Error {
	read := Setup("")
	for _, media := range d.parsed.MediaDescriptions {
		if v, ok := media.Attribute("setup"); ok {
			read = Setup(v)
			break
		}
	}
	for i := range d.Sections {
		if s := &d.Sections[i]; s.Live() && explicitRole(s.Setup) != explicitRole(read) {
			return unusable(s, "has a=setup:%s, but the first media section with a=setup says %q: all sections share one DTLS transport and role", s.Setup, string(read))
		}
	}
	return nil
}

// explicitRole is a role that leaves no choice, or "".
func explicitRole(s Setup) Setup {
	if s == Active || s == Passive {
		return s
	}
	return ""
}

func unusable(s *Section, format string, args ...any) *Error {
	return about(Unusable, s, format, args...)
}

func mismatch(s *Section, format string, args ...any) *Error {
	return about(Mismatch, s, format, args...)
}

// about refuses because of one section.
func about(r Reason, s *Section, format string, args ...any) *Error {
	e := refuse(r, format, args...)
	e.Sentence = `Media section ` + quoted(s.Mid) + ` ` + e.Sentence + `.`
	return e
}

func quoted(mid string) string { return `"` + mid + `"` }
