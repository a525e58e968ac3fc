package autoscale

import (
	"math/rand/v2"
	"sync"
	"time"
)

// meter integrates how many requests are in flight, exactly: the mean over a time is the area
// below their number, divided by that time. It is on the request path twice for each request, and
// spread over cells so that requests do not wait for each other. Only sums of cells mean
// anything, since a request may end in another cell than it began in.
type meter struct {
	since time.Time // the times of cells count from here
	cells [8]cell
}

type cell struct {
	mu    sync.Mutex
	begun int64         // requests, since the last take
	ended int64         // and how many have ended
	n     int64         // those in flight that began here, without those that ended here
	area  time.Duration // of n over the time from the last take until last
	last  time.Duration
	_     [80]byte // a cell has cache lines of its own
}

// begin and end count one request in and out, at a time since m.since.
func (m *meter) begin(at time.Duration) { m.add(at, 1, 0) }
func (m *meter) end(at time.Duration)   { m.add(at, 0, 1) }

func (m *meter) add(at time.Duration, begun, ended int64) {
	c := &m.cells[rand.Uint32()%uint32(len(m.cells))]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(at)
	c.begun += begun
	c.ended += ended
	c.n += begun - ended
}

// advance brings the area up to a time. Who waited for the lock may come with an earlier one.
func (c *cell) advance(at time.Duration) {
	if at > c.last {
		c.area += time.Duration(c.n) * (at - c.last)
		c.last = at
	}
}

// flow is what happened between two takes.
type flow struct {
	begun, ended int64         // requests
	busy         time.Duration // how long all requests together have been in flight
}

// take returns what has happened since the last take.
func (m *meter) take(now time.Time) (f flow) {
	for i := range m.cells {
		c := &m.cells[i]
		c.mu.Lock()
		c.advance(now.Sub(m.since))
		f.begun, f.ended, f.busy = f.begun+c.begun, f.ended+c.ended, f.busy+c.area
		c.begun, c.ended, c.area = 0, 0, 0
		c.mu.Unlock()
	}
	f.busy = max(0, f.busy)
	return f
}
