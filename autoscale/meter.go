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
	n     int64         // those in flight that began here, without those that ended here
	area  time.Duration // of n over the time from the last take until last
	last  time.Duration
	_     [88]byte // a cell has cache lines of its own
}

// begin and end count one request in and out.
func (m *meter) begin(now time.Time) { m.add(now, 1, 1) }
func (m *meter) end(now time.Time)   { m.add(now, 0, -1) }

func (m *meter) add(now time.Time, begun, n int64) {
	at := now.Sub(m.since)
	c := &m.cells[rand.Uint32()%uint32(len(m.cells))]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(at)
	c.begun += begun
	c.n += n
}

// advance brings the area up to a time. Who waited for the lock may come with an earlier one.
func (c *cell) advance(at time.Duration) {
	if at > c.last {
		c.area += time.Duration(c.n) * (at - c.last)
		c.last = at
	}
}

// take returns how many requests have begun since the last take, and how long all requests
// together have been in flight meanwhile.
func (m *meter) take(now time.Time) (begun int64, busy time.Duration) {
	for i := range m.cells {
		c := &m.cells[i]
		c.mu.Lock()
		c.advance(now.Sub(m.since))
		begun, busy = begun+c.begun, busy+c.area
		c.begun, c.area = 0, 0
		c.mu.Unlock()
	}
	return begun, max(0, busy)
}
