package lb

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// DynamicPool is the [Pool] to use when backends come and go at run time. Its methods may be
// called by many goroutines at once; readers never wait for writers.
type DynamicPool struct {
	current atomic.Pointer[Snapshot]
	mu      sync.Mutex // serialises writers
}

// NewPool returns a pool of the given backends, all of them fit, or an error that names every
// wrong one. It may be empty.
func NewPool(specs ...Spec) (*DynamicPool, error) {
	p := &DynamicPool{}
	p.current.Store(new(Snapshot))
	if err := p.Replace(specs...); err != nil {
		return nil, err
	}
	return p, nil
}

// Snapshot returns the backends as they are now.
func (p *DynamicPool) Snapshot() *Snapshot { return p.current.Load() }

// Replace makes specs the whole membership, or changes nothing if any is wrong. A backend
// whose ID stays keeps its facts, its load and its sessions.
func (p *DynamicPool) Replace(specs ...Spec) error {
	_, err := p.apply(func(s *Snapshot) (*Snapshot, error) { return s.With(specs...) })
	return err
}

// Add puts further backends into the pool, or changes nothing if any is wrong. One with a known
// ID takes that one's place.
func (p *DynamicPool) Add(specs ...Spec) error {
	_, err := p.apply(func(s *Snapshot) (*Snapshot, error) { return s.Plus(specs...) })
	return err
}

// Drain has nothing new go to a backend but the requests of its sessions, and waits until it is idle
// or ctx is done. The error tells of requests that were left then; they are not touched. Clear ends the
// drain. Draining an unknown backend is not an error.
func (p *DynamicPool) Drain(ctx context.Context, id string) error {
	p.Mark(id, Draining, "being drained")
	b := p.Snapshot().Find(id)
	if b == nil {
		return nil
	}
	if n := idle(ctx, b); n > 0 {
		return fmt.Errorf("lb: backend %q drained with %d requests in flight: %w", id, n, context.Cause(ctx))
	}
	return nil
}

// Remove drains a backend, waits until it is idle or ctx is done, and removes it either way.
// Once it returns, no request starts there. When ctx is done, tunnels, event streams and calls of gRPC
// that are left are closed, and the error tells of all requests that were; others go on to their end.
// Removing an unknown backend is not an error.
func (p *DynamicPool) Remove(ctx context.Context, id string) error {
	p.Mark(id, Draining, "being removed")
	b := p.Snapshot().Find(id)
	if b == nil {
		return nil
	}
	idle(ctx, b)
	_, _ = p.apply(func(s *Snapshot) (*Snapshot, error) { return s.Without(id), nil })
	if n := idle(ctx, b); n > 0 { // a session's request may have come between the two
		b.load.Cut()
		return fmt.Errorf("lb: backend %q removed with %d requests in flight: %w", id, n, context.Cause(ctx))
	}
	return nil
}

// idle waits until b has nothing in flight, and returns how much it has if ctx is done before.
func idle(ctx context.Context, b *Backend) int64 {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for b.InFlight() > 0 {
		select {
		case <-ctx.Done():
			return b.InFlight()
		case <-tick.C:
		}
	}
	return 0
}

// SetWeight changes a backend's share and reports whether that is news. The weight is brought
// into the range of 1 to 1,000,000. Unknown backends are left unknown.
func (p *DynamicPool) SetWeight(id string, weight int) bool {
	news, _ := p.apply(func(s *Snapshot) (*Snapshot, error) { return s.WithWeight(id, weight), nil })
	return news
}

// Mark records facts about a backend and reports whether that is news. Cause says why, for
// people; it should be one short line.
func (p *DynamicPool) Mark(id string, facts Facts, cause string) bool {
	news, _ := p.apply(func(s *Snapshot) (*Snapshot, error) { return s.Mark(id, facts, cause), nil })
	return news
}

// Clear takes facts about a backend back and reports whether that is news.
func (p *DynamicPool) Clear(id string, facts Facts, cause string) bool {
	news, _ := p.apply(func(s *Snapshot) (*Snapshot, error) { return s.Clear(id, facts, cause), nil })
	return news
}

// apply publishes what edit makes of the current snapshot.
func (p *DynamicPool) apply(edit func(*Snapshot) (*Snapshot, error)) (news bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.current.Load()
	next, err := edit(old)
	if err != nil {
		return false, err
	}
	p.current.Store(next)
	return next != old, nil
}
