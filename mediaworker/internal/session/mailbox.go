package session

import "sync"

// mailbox runs tasks one after the other, in the order in which they were
// posted, each on a goroutine that exists only while there are tasks. Whatever
// only tasks touch needs no lock. The zero value is ready.
type mailbox struct {
	mu      sync.Mutex // guards what follows
	tasks   []func()
	running bool
	closed  bool
	idle    *sync.Cond // made by wait; signalled when running ends
}

// post adds a task, or returns false after close. Tasks may post.
func (m *mailbox) post(task func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.tasks = append(m.tasks, task)
	if !m.running {
		m.running = true
		go m.run()
	}
	return true
}

func (m *mailbox) run() {
	for {
		m.mu.Lock()
		if len(m.tasks) == 0 {
			m.running, m.tasks = false, nil
			if m.idle != nil {
				m.idle.Broadcast()
			}
			m.mu.Unlock()
			return
		}
		task := m.tasks[0]
		m.tasks = m.tasks[1:]
		m.mu.Unlock()
		task()
	}
}

// close refuses further tasks. Those that were posted still run.
func (m *mailbox) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// wait returns when no task is left. To be called after close.
func (m *mailbox) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.idle == nil {
		m.idle = sync.NewCond(&m.mu)
	}
	for m.running {
		m.idle.Wait()
	}
}

// crew is the goroutines beside a mailbox. The zero value is ready.
type crew struct {
	mu     sync.Mutex // guards closed, and that nobody joins after it
	closed bool
	work   sync.WaitGroup
}

// start runs f beside the caller, or returns false after close.
func (c *crew) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Go(f)
	return true
}

func (c *crew) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

// wait returns when all have returned. To be called after close.
func (c *crew) wait() { c.work.Wait() }
