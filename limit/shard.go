package limit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// terms are what is the same for all clients.
type terms struct {
	rate  float64
	burst int
}

func (t terms) bucket() *rate.Limiter { return rate.NewLimiter(rate.Limit(t.rate), t.burst) }

// full reports whether b is as a new bucket.
func (t terms) full(b *rate.Limiter, now time.Time) bool { return b.TokensAt(now) >= float64(t.burst) }

// take draws a token from b and returns 0, or else the whole seconds until there will be one.
func (t terms) take(b *rate.Limiter, now time.Time) (wait int) {
	if b.AllowN(now, 1) {
		return 0
	}
	wait = max(1, int((1-b.TokensAt(now))/t.rate))
	for range 2 { // to round up, and for what the division lacks
		if b.TokensAt(now.Add(time.Duration(wait)*time.Second)) >= 1 {
			break
		}
		wait++
	}
	return wait
}

// client is one that has a bucket of its own.
type client struct {
	addr          netip.Addr
	bucket        *rate.Limiter
	before, after *client // in the order of their last requests
}

// shard holds some of the clients. Its methods may be called by many goroutines at once.
type shard struct {
	mu      sync.Mutex
	clock   clock
	limit   int // of clients
	clients map[netip.Addr]*client
	idlest  *client // a ring: before it is the one that asked last; nil if there is none
}

func (s *shard) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.clients)
}

// take counts a request by addr, or returns false if there is no bucket for it.
func (s *shard) take(addr netip.Addr, now time.Time, t terms) (wait int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = s.clock.at(now)
	c := s.clients[addr]
	if c == nil {
		c = s.admitLocked(addr, now, t)
	}
	if c == nil {
		return 0, false
	}
	s.askedLocked(c)
	return t.take(c.bucket, now), true
}

// admitLocked gives a newcomer the bucket of the client that has been idle longest, if that is
// full again, or else a new one, unless there are too many. If neither can be, it returns nil.
func (s *shard) admitLocked(addr netip.Addr, now time.Time, t terms) *client {
	c := s.idlest
	switch {
	case c != nil && t.full(c.bucket, now):
		delete(s.clients, c.addr)
	case len(s.clients) < s.limit:
		c = &client{bucket: t.bucket()}
	default:
		return nil
	}
	c.addr = addr
	s.clients[addr] = c
	return c
}

// askedLocked makes c the client that asked last.
func (s *shard) askedLocked(c *client) {
	switch {
	case s.idlest == nil:
		c.before, c.after = c, c
		s.idlest = c
		return
	case s.idlest == c: // turn the ring
		s.idlest = c.after
		return
	case c.after != nil: // else it is new
		c.before.after, c.after.before = c.after, c.before
	}
	c.before, c.after = s.idlest.before, s.idlest
	c.before.after, c.after.before = c, c
}

// spare is a bucket for many clients.
type spare struct {
	mu     sync.Mutex
	clock  clock
	bucket *rate.Limiter
}

func (s *spare) take(now time.Time, t terms) (wait int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.take(s.bucket, s.clock.at(now))
}
