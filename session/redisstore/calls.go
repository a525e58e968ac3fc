package redisstore

import (
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/keep"
)

// call is one command about a session that is on its way. What it returns was true when Redis
// answered: by the time it is heard here, others may have changed it, in this process or another.
// The lock of the session's place guards the marks.
type call struct {
	key   keep.Key
	epoch uint32        // when it was sent
	began time.Duration // when it was sent, at the latest
	next  *call         // another on its way about the same session

	invalidated bool // Redis has told of a change since: its answer may be from before
	overtaken   bool // something else was learnt since: the order is not known
}

// calls are the commands on their way.
type calls struct {
	mu sync.Mutex
	by map[keep.Key]*call
}

// add notes a call. It must be noted before its command is sent.
func (c *calls) add(o *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = make(map[keep.Key]*call)
	}
	o.next = c.by[o.key]
	c.by[o.key] = o
}

// remove forgets a call that has ended.
func (c *calls) remove(o *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by[o.key] == o {
		if o.next == nil {
			delete(c.by, o.key)
		} else {
			c.by[o.key] = o.next
		}
		return
	}
	for at := c.by[o.key]; at != nil; at = at.next { // few at a time
		if at.next == o {
			at.next = o.next
			return
		}
	}
}

// mark shows all calls about a session but one to visit, which holds the lock of its place.
func (c *calls) mark(k keep.Key, but *call, visit func(*call)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := c.by[k]; at != nil; at = at.next {
		if at != but {
			visit(at)
		}
	}
}

func invalidate(o *call) { o.invalidated = true }
func overtake(o *call)   { o.overtaken = true }
