package lb

import (
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// view is what requests need to know, derived from one snapshot and never changed.
type view struct {
	snap     *Snapshot
	epoch    uint64    // Balancer.epoch when the building began
	until    time.Time // when the next breaker admits a trial; zero if none will
	failOpen bool      // too few are fit to believe it
	entries  map[*live.Load]*entry
	eligible []*entry                       // sorted by ID
	picker   Picker                         // over eligible; nil if that is empty
	previous Picker                         // the last one that was not nil
	learner  interface{ Attempted(Result) } // picker, if it learns; else nil
}

// entry is what a view says about one backend.
type entry struct {
	backend  *Backend
	breaker  Breaker      // nil if there is none
	state    BreakerState // what it said when the view was built
	cause    string       // why it opened
	eligible bool
	weight   float64
}

// current returns a view to choose from. Whoever notices that it is out of date starts the
// building of the next, and goes on with this one: a backend's present facts are looked at when
// it is taken.
func (b *Balancer) current(now time.Time) *view {
	v := b.view.Load()
	if !b.fresh(v, now) && v.picker != nil && b.building.TryLock() {
		go func() {
			defer b.building.Unlock()
			b.rebuildLocked(now)
		}()
	}
	return v
}

// await returns a view that is up to date, and builds it if need be.
func (b *Balancer) await(now time.Time) *view {
	b.building.Lock()
	defer b.building.Unlock()
	if v := b.view.Load(); b.fresh(v, now) {
		return v
	}
	return b.rebuildLocked(now)
}

func (b *Balancer) fresh(v *view, now time.Time) bool {
	return v.snap == b.cfg.Pool.Snapshot() && v.epoch == b.epoch.Load() && (v.until.IsZero() || now.Before(v.until))
}

// rebuildLocked tells what has changed since the view before and replaces it.
func (b *Balancer) rebuildLocked(now time.Time) *view {
	old := b.view.Load()
	next := b.build(old, now)
	old.tell(next, b.observers) // before the first result of whoever has joined
	b.view.Store(next)
	return next
}

// build derives a view from the pool. Breakers live on from one view to the next.
func (b *Balancer) build(old *view, now time.Time) *view {
	v := &view{epoch: b.epoch.Load(), snap: b.cfg.Pool.Snapshot(), previous: old.previous}
	v.entries = make(map[*live.Load]*entry, v.snap.Len())
	for _, be := range v.snap.backends {
		e := &entry{backend: be, weight: float64(be.Weight())}
		v.entries[be.load] = e
		if b.cfg.Hedge.Quantile > 0 {
			be.load.Track()
		}
		if b.cfg.Breakers == nil {
			continue
		}
		if known := old.entries[be.load]; known != nil {
			e.breaker = known.breaker
		} else {
			e.breaker = b.cfg.Breakers(be)
		}
		if e.breaker != nil {
			v.note(e, now)
		}
	}
	v.elect(b.cfg.PanicThreshold, now)
	if len(v.eligible) > 0 {
		v.picker = b.cfg.Policy(v.set())
		v.learner, _ = v.picker.(interface{ Attempted(Result) })
	}
	if v.picker != nil {
		v.previous = v.picker
	}
	return v
}

// note asks a breaker for its state. One whose time for trials has come is as good as half-open.
func (v *view) note(e *entry, now time.Time) {
	state, trial := e.breaker.Status()
	e.state, e.cause = state, causeOf(e.breaker, state)
	if state == Open && trial.After(now) && (v.until.IsZero() || trial.Before(v.until)) {
		v.until = trial
	}
	e.eligible = state != Open || !trial.After(now)
}

// elect decides who may be picked.
func (v *view) elect(threshold float64, now time.Time) {
	fit, out := 0.0, 0.0
	for _, e := range v.entries {
		if e.breaker == nil {
			e.eligible = true
		}
		switch f := e.backend.facts; {
		case f.Has(Draining):
			e.eligible = false
		case f.Fit() && e.eligible:
			fit++
		default:
			out++
		}
	}
	v.failOpen = threshold >= 0 && (fit == 0 || fit < threshold*(fit+out))
	for _, be := range v.snap.backends {
		e := v.entries[be.load]
		e.eligible = e.eligible && (be.facts.Fit() || v.failOpen)
		if e.eligible {
			v.eligible = append(v.eligible, e)
		}
	}
}

// set lists what the policy builds a picker over.
func (v *view) set() Set {
	s := Set{Previous: v.previous, Eligible: make([]Candidate, 0, len(v.eligible))}
	for _, be := range v.snap.backends {
		if e := v.entries[be.load]; e.eligible {
			s.Eligible = append(s.Eligible, Candidate{Backend: be, Weight: e.weight, Trial: e.state != Closed})
		} else {
			s.Others = append(s.Others, be)
		}
	}
	return s
}

// tell reports what differs in next.
func (v *view) tell(next *view, to observers) {
	for _, be := range v.snap.backends {
		if e := v.entries[be.load]; next.entries[be.load] == nil {
			to.change(Change{Backend: be, Before: be.facts, BreakerBefore: e.state, Removed: true, Cause: be.cause})
		}
	}
	for _, be := range next.snap.backends {
		e, old := next.entries[be.load], v.entries[be.load]
		c := Change{Backend: be, After: be.facts, BreakerAfter: e.state, Joined: old == nil, Cause: be.cause, BreakerCause: e.cause}
		if old != nil {
			c.Before, c.BreakerBefore = old.backend.facts, old.state
		}
		if c.Joined || c.Before != c.After || c.BreakerBefore != c.BreakerAfter {
			to.change(c)
		}
	}
}
