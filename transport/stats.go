package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Stats are the figures of the connections to one backend, for http and unix.
type Stats struct {
	Scheme, Addr string
	// Open are the connections now: idle ones, those under way and those being made.
	Open int
	// Idle are the connections that carry no request now.
	Idle int
	// Dialled is how many connections were made.
	Dialled uint64
	// Reused is how often a connection was used again.
	Reused uint64
	// Queued are the requests that wait for a connection now.
	Queued int
}

// Stats returns the figures of all backends, sorted by scheme and address. It costs time in
// their number.
func (t *Transport) Stats() []Stats {
	var all []Stats
	for _, p := range t.allPools() {
		p.mu.Lock()
		all = append(all, Stats{p.scheme, p.addr, p.open, len(p.idle), p.dialled, p.reused, len(p.queue)})
		p.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Stats) int {
		return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Addr, b.Addr))
	})
	return all
}

// Warm makes connections to a backend of scheme http or unix until n are idle, or as many as
// MaxIdle and MaxConns allow. It returns the first error of a dial. With ProxyProtocol they serve
// requests without a client only.
func (t *Transport) Warm(ctx context.Context, scheme, addr string, n int) error {
	if !Direct(scheme) {
		return fmt.Errorf("transport: warm %s: %w", scheme, errors.ErrUnsupported)
	}
	p := t.pool(scheme, addr)
	for range min(n, t.cfg.MaxIdle) {
		now := time.Now()
		ready, err := p.reserve(now, n)
		if err != nil || !ready {
			return err
		}
		c, err := p.make(ctx, &want{now: now, fresh: true})
		if err != nil {
			return err
		}
		p.put(c, time.Now())
	}
	return nil
}

// reserve takes a place for one more connection, unless n are idle or there is none.
func (p *pool) reserve(now time.Time, n int) (bool, error) {
	p.mu.Lock()
	old := p.expireLocked(now)
	closed := p.closed
	ready := !closed && len(p.idle) < n && (p.cfg.MaxConns <= 0 || p.open < p.cfg.MaxConns)
	if ready {
		p.used = now
		p.open++
	}
	p.mu.Unlock()
	closeAll(old)
	if closed {
		return false, ErrClosed
	}
	return ready, nil
}
