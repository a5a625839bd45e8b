package session

import "sync"

// mailbox runs tasks one after the other, in the order in which they were
// posted, each on a goroutine that exists only while there are tasks. Whatever
// only tasks touch needs no lock.
type mailbox struct {
	mu      sync.Mutex // guards what follows
	tasks   []func()
	running bool
	idle    sync.WaitGroup
}

// post adds a task. Tasks may post.
func (m *mailbox) post(task func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tasks = append(m.tasks, task)
	if !m.running {
		m.running = true
		m.idle.Go(m.run)
	}
}

func (m *mailbox) run() {
	for {
		m.mu.Lock()
		if len(m.tasks) == 0 {
			m.running, m.tasks = false, nil
			m.mu.Unlock()
			return
		}
		task := m.tasks[0]
		m.tasks = m.tasks[1:]
		m.mu.Unlock()
		task()
	}
}

// wait returns when the mailbox is empty. Nothing may be posted any more but by
// tasks.
func (m *mailbox) wait() { m.idle.Wait() }
