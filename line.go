package lb

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
)

// line is who waits, in the order in which they will be served. Only the first looks for a place: it is
// woken by each that is given back, and passes the turn on when it goes.
type line struct {
	length   int
	priority func(*http.Request) int // nil: all have the same
	count    atomic.Int64            // how many wait

	mu      sync.Mutex
	waiters []*waiter // the highest priority first, then whoever came first
	came    uint64    // how many ever did
	last    need      // what the first was found to wait for
}

// waiter is a request in line.
type waiter struct {
	priority int
	number   uint64        // in the order of coming
	need     need          // written by its own goroutine
	turn     chan struct{} // holds one: it is the first, and should look
	out      bool          // somebody with a higher priority has its place in line; guarded by mu
}

// compare orders waiters as they are served.
func (w *waiter) compare(other *waiter) int {
	return cmp.Or(cmp.Compare(other.priority, w.priority), cmp.Compare(w.number, other.number))
}

// wake has w look; if it is about to, that will do.
func (w *waiter) wake() {
	select {
	case w.turn <- struct{}{}:
	default:
	}
}

func (l *line) empty() bool { return l.count.Load() == 0 }

// depth is how many wait. Nil has nobody.
func (p *patience) depth() int {
	if p == nil {
		return 0
	}
	return int(p.count.Load())
}

// join puts a request in line, which does not know what it needs if it has not looked.
func (l *line) join(r *http.Request, n need) (*waiter, error) {
	w := &waiter{turn: make(chan struct{}, 1), need: n}
	if l.priority != nil {
		w.priority = l.priority(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.need == nothing {
		w.need = l.last
	}
	if len(l.waiters) >= l.length {
		last := l.waiters[len(l.waiters)-1]
		if last.priority >= w.priority {
			return nil, w.need.overflow()
		}
		last.out = true
		last.wake()
		l.waiters = l.waiters[:len(l.waiters)-1]
	}
	l.came++
	w.number, l.last = l.came, w.need
	at, _ := l.find(w)
	l.waiters = slices.Insert(l.waiters, at, w)
	l.count.Store(int64(len(l.waiters)))
	if at == 0 {
		w.wake()
	}
	return w, nil
}

func (l *line) find(w *waiter) (int, bool) {
	return slices.BinarySearchFunc(l.waiters, w, (*waiter).compare)
}

// leave takes w out of the line and gives the turn to whoever is first then.
func (l *line) leave(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, in := l.find(w); in {
		l.waiters = slices.Delete(l.waiters, at, at+1)
		l.count.Store(int64(len(l.waiters)))
	}
	if len(l.waiters) > 0 {
		l.waiters[0].wake()
	}
}

// freed tells the first in line that a place was given back. Nil has nobody to tell.
func (p *patience) freed() {
	if p == nil || p.empty() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 {
		p.waiters[0].wake()
	}
}

// state says whether w is the first, or has lost its place in line.
func (l *line) state(w *waiter) (first, out bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiters) > 0 && l.waiters[0] == w, w.out
}

// note keeps what the first waits for, for those who come and have not looked.
func (l *line) note(n need) {
	if n == nothing {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = n
}
