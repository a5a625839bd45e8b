package sdpx

import "strings"

// Limits within one section, and of the cost of reading the codecs of all
// sections: pion reads a section's attributes once for each of its formats.
// maxWork leaves room for 64 sections with every codec of a browser, and holds
// pion to about a quarter of a second.
const (
	maxAttributes = 1_000
	maxFormats    = 128
	maxCandidates = 64
	maxWork       = 500_000
)

// normaliser copies a description line by line, with the repairs of Parse.
type normaliser struct {
	out      strings.Builder
	lines    int
	sections int
	// session is the direction given at session level, the default of sections.
	session string
	// media is true in an audio or video section; directed, once it has a
	// direction; candidates counts its candidates.
	media      bool
	directed   bool
	candidates int
}

// normalise enforces the limits on text and returns it with CRLF line ends.
func normalise(text string) (string, *Error) {
	if len(text) > MaxBytes {
		return "", refuse(TooLarge, "The session description has %d bytes; at most %d are allowed.", len(text), MaxBytes)
	}
	n := normaliser{session: string(SendRecv)}
	n.out.Grow(len(text) + 64)
	for len(text) > 0 {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		line = strings.TrimRight(line, "\r")
		if line == "" {
			continue
		}
		if err := n.line(line); err != nil {
			return "", err
		}
	}
	n.endSection()
	if n.out.Len() == 0 {
		return "", refuse(Malformed, "The session description is empty.")
	}
	return n.out.String(), nil
}

func (n *normaliser) line(line string) *Error {
	if n.lines++; n.lines > MaxLines {
		return refuse(TooLarge, "The session description has over %d lines.", MaxLines)
	}
	if len(line) > MaxLine {
		return refuse(TooLarge, "A line of the session description has %d bytes; at most %d are allowed.", len(line), MaxLine)
	}
	if strings.ContainsAny(line, "\r\x00") {
		return refuse(Malformed, "The session description has a carriage return or NUL inside line %d.", n.lines)
	}
	switch {
	case strings.HasPrefix(line, "m="):
		n.endSection()
		if n.sections++; n.sections > MaxSections {
			return refuse(TooLarge, "The session description has over %d media sections.", MaxSections)
		}
		n.media = strings.HasPrefix(line, "m=audio ") || strings.HasPrefix(line, "m=video ")
		n.directed, n.candidates = false, 0
	case isDirection(line):
		n.directed = true
		if n.sections == 0 {
			n.session = line[2:]
		}
	case strings.HasPrefix(line, "a=candidate:"):
		if n.candidates++; n.candidates > maxCandidates || !usableCandidate(line[len("a=candidate:"):]) {
			return nil
		}
	}
	n.write(line)
	return nil
}

// endSection gives a media section its default direction.
func (n *normaliser) endSection() {
	if n.media && !n.directed {
		n.write("a=" + n.session)
	}
}

func (n *normaliser) write(line string) {
	n.out.WriteString(line)
	n.out.WriteString("\r\n")
}

func isDirection(line string) bool {
	switch line {
	case "a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive":
		return true
	}
	return false
}
