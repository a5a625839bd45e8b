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
	// formats are added to the end of the m= line, attributes to the section.
	formats, attributes []string
}

var directions = []sdpx.Direction{sdpx.SendRecv, sdpx.SendOnly, sdpx.RecvOnly, sdpx.Inactive}

// rewrite applies one edit per media section, in order. Sections beyond the
// edits stay as they are, as does everything that no edit names.
func rewrite(text string, edits []edit) string {
	lines := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r\n")
	mids := renames(lines, edits)
	var out strings.Builder
	out.Grow(len(text) + 256)
	write := func(line string) { out.WriteString(line); out.WriteString("\r\n") }
	section, named := -1, false
	finish := func() {
		if section >= 0 && section < len(edits) {
			if !named { // pion names no section that it rejects
				write("a=mid:" + edits[section].mid)
			}
			write("a=" + string(edits[section].direction))
			for _, a := range edits[section].attributes {
				write("a=" + a)
			}
		}
	}
	for _, line := range lines {
		switch {
		case strings.HasPrefix(line, "m="):
			finish()
			section, named = section+1, false
			if section < len(edits) && len(edits[section].formats) > 0 {
				line += " " + strings.Join(edits[section].formats, " ")
			}
		case strings.HasPrefix(line, "a=group:BUNDLE"):
			line = renameGroup(line, mids)
		case section < 0 || section >= len(edits):
		case strings.HasPrefix(line, "a=mid:"):
			line, named = "a=mid:"+edits[section].mid, true
		case isDirection(line):
			continue // written at the end of the section
		}
		write(line)
	}
	finish()
	return out.String()
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

func isDirection(line string) bool {
	for _, d := range directions {
		if line == "a="+string(d) {
			return true
		}
	}
	return false
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
