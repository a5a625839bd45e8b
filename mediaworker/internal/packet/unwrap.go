package packet

// Unwrapper extends 16-bit sequence numbers to 64 bits. The zero value starts a
// cycle above zero, so that a packet older than the first still has a number.
// One goroutine owns it.
type Unwrapper struct {
	highest uint64
	started bool
}

// Unwrap returns the 64-bit number whose low 16 bits are n that is nearest to
// the highest number seen, and remembers it if it is higher.
func (u *Unwrapper) Unwrap(n uint16) uint64 {
	if !u.started {
		u.started = true
		u.highest = u.highest&^0xffff + 1<<16 + uint64(n)
		return u.highest
	}
	v := u.highest + uint64(int64(int16(n-uint16(u.highest))))
	u.highest = max(u.highest, v)
	return v
}

// Highest returns the highest number seen, or 0 before the first.
func (u *Unwrapper) Highest() uint64 { return u.highest }

// Restart forgets the numbering but not the height: the numbers of the next
// stream lie above all those returned before, by more than one cycle.
func (u *Unwrapper) Restart() {
	if u.started {
		u.highest += 1 << 16
	}
	u.started = false
}
