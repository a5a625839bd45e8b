package peer

import (
	"strings"

	"switchboard/shared/sdpx"
)

// edit is what changes in one media section between pion's text and the wire's.
type edit struct {
	// mid replaces the section's a=mid, and its place in BUNDLE.
	mid string
	// direction replaces the section's direction, or adds one.
	direction sdpx.Direction
	// content replaces the section's formats, header extensions and layers; nil
	// leaves them, as in a section for data channels.
	content *content
	// sources: the a=ssrc and a=msid lines go, too.
	sources bool
}

var (
	contentLines = []string{"a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=rid:", "a=simulcast:"}
	sourceLines  = []string{"a=ssrc:", "a=ssrc-group:", "a=msid:"}
	directions   = []string{"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"}
)

// drops reports whether the line is replaced by what finish writes, or goes.
func (e *edit) drops(line string) bool {
	for _, d := range directions {
		if line == d {
			return true
		}
	}
	return e.content != nil && hasPrefix(line, contentLines) || e.sources && hasPrefix(line, sourceLines)
}

func hasPrefix(line string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}

// media is the m= line with the section's own formats (RFC 8866 section 5.14).
func (e *edit) media(line string) string {
	fields := strings.Fields(line)
	if e.content == nil || len(e.content.formats) == 0 || len(fields) < 3 {
		return line
	}
	return strings.Join(append(fields[:3:3], e.content.formats...), " ")
}

// rewrite applies one edit per media section, in order. Sections beyond the
// edits stay as they are, as does everything that no edit names.
func rewrite(text string, edits []edit) string {
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	mids := renames(lines, edits)
	w := writer{edits: edits, section: -1}
	w.out.Grow(len(text) + 256)
	for _, line := range lines {
		switch e := w.edit(); {
		case strings.HasPrefix(line, "m="):
			w.next()
			if e = w.edit(); e != nil {
				line = e.media(line)
			}
		case strings.HasPrefix(line, "a=group:BUNDLE"):
			line = renameGroup(line, mids)
		case e == nil:
		case strings.HasPrefix(line, "a=mid:"):
			line, w.named = "a=mid:"+e.mid, true
		case e.drops(line):
			continue
		}
		w.write(line)
	}
	w.next()
	return w.out.String()
}

// writer writes a description section by section.
type writer struct {
	out     strings.Builder
	edits   []edit
	section int  // in which it is, -1 before the first
	named   bool // the section has its a=mid
}

func (w *writer) edit() *edit {
	if w.section < 0 || w.section >= len(w.edits) {
		return nil
	}
	return &w.edits[w.section]
}

func (w *writer) write(line string) {
	w.out.WriteString(line)
	w.out.WriteString("\r\n")
}

// next ends the section with what its edit adds.
func (w *writer) next() {
	if e := w.edit(); e != nil {
		if !w.named { // pion names no section that it rejects
			w.write("a=mid:" + e.mid)
		}
		w.write("a=" + string(e.direction))
		if e.content != nil {
			for _, a := range e.content.lines {
				w.write("a=" + a)
			}
		}
	}
	w.section, w.named = w.section+1, false
}

// renames maps the mids that the text uses to those of the edits.
func renames(lines []string, edits []edit) map[string]string {
	mids := make(map[string]string, len(edits))
	section := -1
	for _, line := range lines {
		if strings.HasPrefix(line, "m=") {
			section++
		}
		if mid, ok := strings.CutPrefix(line, "a=mid:"); ok && section >= 0 && section < len(edits) {
			mids[mid] = edits[section].mid
		}
	}
	return mids
}

func renameGroup(line string, mids map[string]string) string {
	fields := strings.Fields(line)
	for i, mid := range fields[1:] {
		if to, ok := mids[mid]; ok {
			fields[i+1] = to
		}
	}
	return strings.Join(fields, " ")
}

// sectionMids lists the a=mid of each media section; a section without one
// counts as "".
func sectionMids(text string) []string {
	var mids []string
	for line := range strings.SplitSeq(text, "\r\n") {
		if strings.HasPrefix(line, "m=") {
			mids = append(mids, "")
		}
		if mid, ok := strings.CutPrefix(line, "a=mid:"); ok && len(mids) > 0 {
			mids[len(mids)-1] = mid
		}
	}
	return mids
}
