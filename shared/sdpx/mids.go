package sdpx

import (
	"strconv"

	"github.com/pion/sdp/v3"
)

// giveMids names the ended sections of d that have no a=mid, which RFC 8829
// section 5.3.1 allows and pion does not: pion stops applying a description
// there. They get the mid that reference (may be nil) has in their place, else
// a fresh one; d and its Text change accordingly.
func (d *Description) giveMids(reference *Description) {
	var blocks []block
	for i := range d.Sections {
		s := &d.Sections[i]
		if s.Mid != "" || s.Live() {
			continue
		}
		if blocks == nil {
			blocks = split(d.Text, nil)
		}
		s.Mid = d.freeMid(i, reference)
		s.media.Attributes = append(s.media.Attributes, sdp.Attribute{Key: sdp.AttrKeyMID, Value: s.Mid})
		blocks[1+i].lines = append(blocks[1+i].lines, "a=mid:"+s.Mid)
	}
	if blocks != nil {
		d.Text = join(blocks)
	}
}

// freeMid is a mid for section i that no other section has.
func (d *Description) freeMid(i int, reference *Description) string {
	if reference != nil && i < len(reference.Sections) {
		if mid := reference.Sections[i].Mid; mid != "" && d.Section(mid) == nil {
			return mid
		}
	}
	for n := i; ; n++ {
		if mid := "ended" + strconv.Itoa(n); d.Section(mid) == nil {
			return mid
		}
	}
}
