package rtcclient

// signal wakes everyone who waits for a change. The owner's lock guards it.
type signal struct{ changed chan struct{} }

// next returns a channel that the next fire closes.
func (s *signal) next() <-chan struct{} {
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.changed
}

func (s *signal) fire() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
