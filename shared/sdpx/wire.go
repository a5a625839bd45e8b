package sdpx

import (
	"fmt"
	"slices"
	"strings"
)

// WireFacts are what the copy for the client must say and pion's text does not.
type WireFacts struct {
	// Setup is the DTLS role of an answer, Active or Passive; empty leaves what
	// pion wrote. Offers always say actpass.
	Setup Setup
	// ICELite says whether this side is an ICE-lite agent.
	ICELite bool
	// Candidates, best first, go into the section of the BUNDLE tag, which is
	// the first live one in the usual order (RFC 9143 section 10), followed by
	// end-of-candidates. Nil: those that pion wrote, each once, of the RTP
	// component.
	Candidates []Candidate
	// Ended lists the mids whose sections get port 0 and leave BUNDLE.
	Ended []string
	// Bundle is the order of the BUNDLE group. Mids of sections that are not
	// live are left out, live ones that it does not name follow in the order
	// of their sections. Nil: pion's order.
	Bundle []string
}

// WireOffer returns the copy of pion's offer that goes to the client, with
// a=setup:actpass. Lines that the facts do not concern are not touched.
func WireOffer(pionSDP string, facts WireFacts) (string, error) {
	facts.Setup = ActPass
	return wire(pionSDP, facts)
}

// WireAnswer returns the copy of pion's answer that goes to the client. Lines
// that the facts do not concern are not touched.
func WireAnswer(pionSDP string, facts WireFacts) (string, error) {
	switch facts.Setup {
	case "", Active, Passive:
		return wire(pionSDP, facts)
	}
	return "", fmt.Errorf("sdpx: an answer is active or passive, not %q", facts.Setup)
}

// block is the session part of a description or one of its sections, as lines.
type block struct {
	lines []string
	mid   string
	live  bool
}

func wire(text string, facts WireFacts) (string, error) {
	blocks := split(text, facts.Ended)
	if len(blocks) < 2 {
		return "", fmt.Errorf("sdpx: the description to send has no media section")
	}
	session, sections := &blocks[0], blocks[1:]
	candidates := candidateLines(facts.Candidates)
	if facts.Candidates == nil {
		candidates = foundCandidates(sections)
	}
	for i := range sections {
		s := &sections[i]
		s.remove("a=candidate:", "a=end-of-candidates")
		if facts.Setup != "" {
			s.replace("a=setup:", string(facts.Setup))
		}
	}
	tag := session.setBundle(sections, facts.Bundle)
	if i := slices.IndexFunc(sections, func(s block) bool { return s.live && (tag == "" || s.mid == tag) }); i >= 0 {
		sections[i].lines = append(sections[i].lines, candidates...)
	}
	session.setFlag("a=ice-lite", facts.ICELite)
	return join(blocks), nil
}

// join is the inverse of split.
func join(blocks []block) string {
	var out strings.Builder
	for i := range blocks {
		for _, line := range blocks[i].lines {
			out.WriteString(line)
			out.WriteString("\r\n")
		}
	}
	return out.String()
}

// split cuts a description into its session part and its sections, and ends
// the sections that are to end.
func split(text string, ended []string) []block {
	blocks := []block{{}}
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if strings.HasPrefix(line, "m=") {
			blocks = append(blocks, block{})
		}
		b := &blocks[len(blocks)-1]
		b.lines = append(b.lines, line)
		if mid, ok := strings.CutPrefix(line, "a=mid:"); ok && b.mid == "" {
			b.mid = mid
		}
	}
	for i := range blocks[1:] {
		b := &blocks[1+i]
		if b.mid != "" && slices.Contains(ended, b.mid) {
			b.end()
		}
		b.live = b.hasPort()
	}
	return blocks
}

// end gives the section port 0.
func (b *block) end() {
	if fields := strings.SplitN(b.lines[0], " ", 3); len(fields) == 3 {
		fields[1] = "0"
		b.lines[0] = strings.Join(fields, " ")
	}
}

// hasPort reports whether the section's port is not 0.
func (b *block) hasPort() bool {
	fields := strings.SplitN(b.lines[0], " ", 3)
	return len(fields) == 3 && fields[1] != "0"
}

// remove drops the lines that begin with one of the prefixes.
func (b *block) remove(prefixes ...string) {
	b.lines = slices.DeleteFunc(b.lines, func(line string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(line, p) })
	})
}

// replace gives the lines that begin with the prefix a new value.
func (b *block) replace(prefix, value string) {
	for i, line := range b.lines {
		if strings.HasPrefix(line, prefix) {
			b.lines[i] = prefix + value
		}
	}
}

// setFlag makes the session part hold that line once, or not at all.
func (b *block) setFlag(flag string, on bool) {
	kept := !on
	b.lines = slices.DeleteFunc(b.lines, func(line string) bool {
		if line != flag {
			return false
		}
		drop := kept
		kept = true
		return drop
	})
	if !kept {
		b.lines = append(b.lines, flag)
	}
}

// setBundle rewrites the BUNDLE group of the session part. It returns the tag,
// "" when there is no group.
func (b *block) setBundle(sections []block, order []string) (tag string) {
	const prefix = "a=group:BUNDLE"
	at := slices.IndexFunc(b.lines, func(line string) bool {
		return line == prefix || strings.HasPrefix(line, prefix+" ")
	})
	if at < 0 {
		return ""
	}
	if order == nil {
		order = strings.Fields(b.lines[at])[1:]
	}
	mids := bundle(sections, order)
	if len(mids) == 0 {
		b.lines = slices.Delete(b.lines, at, at+1)
		return ""
	}
	b.lines[at] = prefix + " " + strings.Join(mids, " ")
	return mids[0]
}

// bundle orders the mids of the live sections.
func bundle(sections []block, order []string) []string {
	var live []string
	for i := range sections {
		if s := &sections[i]; s.live && s.mid != "" {
			live = append(live, s.mid)
		}
	}
	var mids []string
	for _, mid := range append(slices.Clone(order), live...) {
		if slices.Contains(live, mid) && !slices.Contains(mids, mid) {
			mids = append(mids, mid)
		}
	}
	return mids
}

const endOfCandidates = "a=end-of-candidates"

// candidateLines are the lines for our candidates; none for an empty list.
func candidateLines(candidates []Candidate) []string {
	if len(candidates) == 0 {
		return nil
	}
	lines := make([]string, 0, len(candidates)+1)
	for i, c := range candidates {
		lines = append(lines, "a=candidate:"+c.value(i))
	}
	return append(lines, endOfCandidates)
}

// foundCandidates are the candidate lines that pion wrote, each once, of the
// RTP component: with rtcp-mux there is no other.
func foundCandidates(sections []block) []string {
	var lines []string
	for i := range sections {
		for _, line := range sections[i].lines {
			value, ok := strings.CutPrefix(line, "a=candidate:")
			if !ok {
				continue
			}
			fields := strings.SplitN(value, " ", 3)
			if len(fields) == 3 && fields[1] == "1" && !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return append(lines, endOfCandidates)
}
