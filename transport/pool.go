package transport

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// poolKey is what pools are told apart by.
type poolKey struct{ scheme, addr string }

// pool has the connections to one backend. A connection counts in open from before its dial
// until it is closed.
type pool struct {
	poolKey
	t   *Transport
	cfg *Config // t's

	mu      sync.Mutex
	idle    []*conn // the last one came last
	open    int
	queue   []*waiter
	dialled uint64
	reused  uint64
	closed  bool
	gone    bool      // no longer among t's, so it keeps nothing
	used    time.Time // when a connection was last asked for

	sweep    *time.Timer // closes what expires while nobody asks; nil until something is idle
	sweeping bool        // it will fire
}

// waiter is a request that waits for a place among MaxConns.
type waiter struct{ ready chan grant }

// grant is what a waiter gets: a connection, or a place to make one, or that there is none.
type grant struct {
	c   *conn
	err error
}

// want says what connection a request needs.
type want struct {
	now    time.Time
	fresh  bool // only a new one
	safe   bool // no longer idle than is safe for a request that cannot be sent twice
	client netip.AddrPort
}

// suits reports whether c, idle until now, may carry the request.
func (w *want) suits(c *conn, cfg *Config) bool {
	if w.fresh || c.client != w.client || c.worn(w.now, cfg) {
		return false
	}
	if !w.safe {
		return true
	}
	limit := cfg.SafeIdle
	if c.keepAlive > 0 {
		limit = min(limit, max(0, c.keepAlive-time.Second))
	}
	return w.now.Sub(c.asked) <= limit // its backend cannot have been idle for longer, however late we saw its answer
}

// pool returns the pool of a backend and makes it when it is new.
func (t *Transport) pool(scheme, addr string) *pool {
	key := poolKey{scheme, addr}
	if all := t.pools.Load(); all != nil {
		if p := (*all)[key]; p != nil {
			return p
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next, now := map[poolKey]*pool{}, time.Now()
	if all := t.pools.Load(); all != nil {
		if p := (*all)[key]; p != nil {
			return p
		}
		for k, p := range *all {
			if !p.forgotten(now) {
				next[k] = p
			}
		}
	}
	p := &pool{poolKey: key, t: t, cfg: &t.cfg, used: now, closed: t.closed.Load()}
	next[key] = p
	t.pools.Store(&next)
	return p
}

func (t *Transport) allPools() map[poolKey]*pool {
	if all := t.pools.Load(); all != nil {
		return *all
	}
	return nil
}

// forgotten closes what expired, and reports whether the pool has had no connection and no
// request for long, so that backends which went away cost nothing for ever.
func (p *pool) forgotten(now time.Time) bool {
	p.mu.Lock()
	old := p.expireLocked(now)
	p.gone = p.open == 0 && len(p.queue) == 0 && now.Sub(p.used) > 10*time.Minute
	gone := p.gone
	p.mu.Unlock()
	closeAll(old)
	return gone
}

// get returns a connection that suits w: an idle one, or a new one, after a wait when MaxConns
// are open. Errors are such that nothing was sent.
func (p *pool) get(ctx context.Context, w *want) (*conn, error) {
	c, place, old, err := p.take(w)
	closeAll(old)
	if err != nil || c != nil {
		return c, err
	}
	if place != nil {
		if c, err = p.wait(ctx, place); err != nil {
			return nil, err
		}
		if c != nil {
			w.now = time.Now()
			if w.suits(c, p.cfg) {
				c.reused = true
				return c, nil
			}
			c.shut() // its place goes to the new one
		}
	}
	return p.make(ctx, w)
}

// make dials in a place that was taken.
func (p *pool) make(ctx context.Context, w *want) (*conn, error) {
	c, err := p.dial(ctx, w.client)
	if err != nil {
		p.free()
		return nil, err
	}
	p.mu.Lock()
	p.dialled++
	p.mu.Unlock()
	return c, nil
}

// take finds an idle connection, or a place for a new one (all results nil), or queues. old are
// to be closed.
func (p *pool) take(w *want) (c *conn, queued *waiter, old []*conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, nil, ErrClosed
	}
	p.used = w.now
	old = p.expireLocked(w.now)
	if c = p.pickLocked(w); c != nil {
		p.reused++
		c.reused = true
		return c, nil, old, nil
	}
	if p.cfg.MaxConns <= 0 || p.open < p.cfg.MaxConns {
		p.open++
		return nil, nil, old, nil
	}
	if len(p.idle) > 0 { // none suits: the oldest makes place
		old = append(old, p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
		return nil, nil, old, nil
	}
	if len(p.queue) >= p.cfg.MaxQueued {
		return nil, nil, old, ErrQueueFull
	}
	queued = &waiter{ready: make(chan grant, 1)}
	p.queue = append(p.queue, queued)
	return nil, queued, old, nil
}

// pickLocked takes the connection out that suits w and was idle for the shortest time. It costs
// one step, but with ProxyProtocol, or where connections have grown old.
func (p *pool) pickLocked(w *want) *conn {
	for i := len(p.idle) - 1; i >= 0 && !w.fresh; i-- {
		c := p.idle[i]
		if w.suits(c, p.cfg) {
			p.idle = slices.Delete(p.idle, i, i+1)
			return c
		}
		if c.client == w.client && !c.worn(w.now, p.cfg) {
			return nil // those below have been idle for longer
		}
	}
	return nil
}

// wait returns what the queue has for w: a connection, or nil for a place to make one.
func (p *pool) wait(ctx context.Context, w *waiter) (*conn, error) {
	timer := time.NewTimer(p.cfg.QueueTimeout)
	defer timer.Stop()
	var err error
	select {
	case g := <-w.ready:
		return g.c, g.err
	case <-timer.C:
		err = ErrQueueTimeout
	case <-ctx.Done():
		err = endOf(ctx)
	}
	p.mu.Lock()
	i := slices.Index(p.queue, w)
	if i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
	}
	p.mu.Unlock()
	if i >= 0 {
		return nil, err
	}
	switch g := <-w.ready; { // it was granted meanwhile
	case g.c != nil:
		p.put(g.c, time.Now())
	case g.err == nil:
		p.free()
	}
	return nil, err
}

// put takes back a connection whose last answer was read cleanly.
func (p *pool) put(c *conn, now time.Time) {
	c.idleSince = now
	p.mu.Lock()
	old := p.expireLocked(now)
	keep := !p.closed && !p.gone && !c.worn(now, p.cfg)
	switch {
	case keep && len(p.queue) > 0:
		p.reused++
		p.grantLocked(grant{c: c})
	case keep && len(p.idle) < p.cfg.MaxIdle:
		p.idle = append(p.idle, c)
		if !p.sweeping {
			p.sweepLocked(p.cfg.IdleTimeout)
		}
	default:
		keep = false
	}
	p.mu.Unlock()
	closeAll(old)
	if !keep {
		c.shut()
		p.free()
	}
}

// free gives up the place of a connection that is closed, or was not made.
func (p *pool) free() {
	p.mu.Lock()
	if !p.grantLocked(grant{}) {
		p.open--
	}
	p.mu.Unlock()
}

// grantLocked gives g to the request that has waited longest.
func (p *pool) grantLocked(g grant) bool {
	if len(p.queue) == 0 {
		return false
	}
	first := p.queue[0]
	p.queue = slices.Delete(p.queue, 0, 1)
	first.ready <- g // never blocks: one grant for each waiter, and room for it
	return true
}

// expireLocked takes those out that have been idle for too long, from the bottom of the stack.
func (p *pool) expireLocked(now time.Time) []*conn {
	n := 0
	for n < len(p.idle) && now.Sub(p.idle[n].idleSince) >= p.cfg.IdleTimeout {
		n++
	}
	if n == 0 {
		return nil
	}
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	p.open -= n
	return old
}

// sweepLocked has what expires closed a time d from now.
func (p *pool) sweepLocked(d time.Duration) {
	p.sweeping = true
	if p.sweep == nil {
		p.sweep = time.AfterFunc(d, p.swept)
	} else {
		p.sweep.Reset(d)
	}
}

// swept closes what has expired, as long as something is idle. It comes again at most eight times
// in an IdleTimeout, however many connections there are.
func (p *pool) swept() {
	p.mu.Lock()
	now := time.Now()
	old := p.expireLocked(now)
	if p.sweeping = len(p.idle) > 0; p.sweeping {
		left := p.cfg.IdleTimeout - now.Sub(p.idle[0].idleSince)
		p.sweepLocked(max(left, p.cfg.IdleTimeout/8))
	}
	p.mu.Unlock()
	closeAll(old)
}

// closeIdle closes the idle connections, for good if last.
func (p *pool) closeIdle(last bool) {
	p.mu.Lock()
	old := p.idle
	p.idle = nil
	p.open -= len(old)
	p.closed = p.closed || last
	for p.closed && p.grantLocked(grant{err: ErrClosed}) {
	}
	p.mu.Unlock()
	closeAll(old)
}

func closeAll(old []*conn) {
	for _, c := range old {
		c.shut()
	}
}
