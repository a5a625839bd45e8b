package forward

import (
	"sync"

	"switchboard/mediaworker/internal/packet"
)

// queue is where packets wait for their layer's goroutine. Safe for concurrent
// use; one goroutine takes.
type queue struct {
	wake chan struct{} // holds a token when there may be something to take

	mu      sync.Mutex // guards what follows
	packets []*packet.Packet
	joins   []*outlet // sinks that want the recent past
	closed  bool
	dropped uint64
}

// put hands p over; when the queue is full or closed it is released.
func (q *queue) put(p *packet.Packet) {
	q.mu.Lock()
	if q.closed || len(q.packets) == maxQueue {
		if !q.closed {
			q.dropped++
		}
		q.mu.Unlock()
		p.Release()
		return
	}
	q.packets = append(q.packets, p)
	first := len(q.packets) == 1
	q.mu.Unlock()
	if first {
		q.signal()
	}
}

// join asks for the recent past to be sent to o.
func (q *queue) join(o *outlet) {
	q.mu.Lock()
	if !q.closed {
		q.joins = append(q.joins, o)
	}
	q.mu.Unlock()
	q.signal()
}

// take waits for work and returns one join, or all packets; spare is the slice
// whose room the next packets may use, and is handed back with a join. It
// reports false when the queue is closed.
func (q *queue) take(spare []*packet.Packet) ([]*packet.Packet, *outlet, bool) {
	for {
		q.mu.Lock()
		switch {
		case q.closed:
			q.mu.Unlock()
			return nil, nil, false
		case len(q.joins) > 0:
			o := q.joins[0]
			q.joins = q.joins[1:]
			q.mu.Unlock()
			return spare[:0], o, true
		case len(q.packets) > 0:
			packets := q.packets
			q.packets = spare[:0]
			q.mu.Unlock()
			return packets, nil, true
		}
		q.mu.Unlock()
		<-q.wake
	}
}

// lose counts packets that were taken in vain.
func (q *queue) lose(packets int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.dropped += uint64(packets)
}

// overrun counts the packets that found the queue full or were lost.
func (q *queue) overrun() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close releases what waits and ends take.
func (q *queue) close() {
	q.mu.Lock()
	waiting := q.packets
	q.packets, q.joins, q.closed = nil, nil, true
	q.mu.Unlock()
	release(waiting)
	q.signal()
}

func release(packets []*packet.Packet) {
	for _, p := range packets {
		p.Release()
	}
}
