package lb

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// mishap is a view that could not be built, because a policy, a breaker or an observer panicked where no
// request would have noticed. The view before it stays. The next request that comes panics with it: where
// net/http, or whoever stands in front, tells people.
type mishap struct {
	snap  *Snapshot
	epoch uint64
	at    time.Time
	err   error
	told  atomic.Bool
}

// mishapRest is for how long the same view is not tried again.
const mishapRest = time.Second

// notice panics with the mishap, once, and reports whether it is too early to try again. A nil mishap is
// none.
func (m *mishap) notice(b *Balancer, now time.Time) bool {
	if m == nil {
		return false
	}
	if !m.told.Swap(true) {
		panic(m.err)
	}
	return m.snap == b.cfg.Pool.Snapshot() && m.epoch == b.epoch.Load() && now.Sub(m.at) < mishapRest
}

// tryLocked replaces the view, or keeps it if the building panics.
func (b *Balancer) tryLocked(now time.Time) (v *view) {
	m := &mishap{at: now, epoch: b.epoch.Load()}
	defer func() {
		if p := recover(); p != nil {
			m.err = fmt.Errorf("lb: panic while a view was built: %v\n\n%s", p, debug.Stack())
			b.mishap.Store(m)
			v = b.view.Load()
		}
		if m := b.mishap.Load(); m != nil && !m.told.Load() && b.fresh(v, now) {
			b.epoch.Add(1) // so that the next request looks here
		}
	}()
	m.snap = b.cfg.Pool.Snapshot()
	return b.rebuildLocked(now)
}

// look returns a view that is up to date, for who asks how things stand: if it cannot be built, the one
// before.
func (b *Balancer) look(now time.Time) *view {
	v := b.view.Load()
	if b.fresh(v, now) {
		return v
	}
	b.building.Lock()
	defer b.building.Unlock()
	if v := b.view.Load(); b.fresh(v, now) {
		return v
	}
	return b.tryLocked(now)
}
