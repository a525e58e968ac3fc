package lb

import (
	"slices"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// view is what requests need to know, derived from one snapshot and never changed.
type view struct {
	snap     *Snapshot
	epoch    uint64                         // Balancer.epoch when the building began
	first    bool                           // there was none before it
	until    time.Time                      // when the next breaker admits a trial, or a backend's weight grows; zero: never
	failOpen bool                           // too few are fit to believe it
	entries  []entry                        // as snap has its backends
	index    map[*live.Load]int32           // of entries; also the view's before, while the backends are the same ones
	eligible []*entry                       // sorted by ID
	resting  []*entry                       // who is fit and has asked to be left alone, in the order of asking
	picker   Picker                         // over eligible; nil if that is empty
	previous Picker                         // the last one that was not nil
	learner  interface{ Attempted(Result) } // picker, if it learns; else nil
}

// entry is what a view says about one backend.
type entry struct {
	backend  *Backend     // as the snapshot has it, and Warming if it is
	breaker  Breaker      // nil if there is none
	state    BreakerState // what it said when the view was built
	cause    string       // why it opened
	eligible bool
	weight   float64
	cold     bool      // out, or its breaker not closed: it will have to warm
	since    time.Time // when it began to warm; zero: it does not
	rest     *rest     // nil: it does not
}

// current returns a view to choose from. Whoever notices that it is out of date starts the
// building of the next, and goes on with this one: a backend's present facts are looked at when
// it is taken. It panics if an earlier building has, and nobody was told yet.
func (b *Balancer) current(now time.Time) *view {
	v := b.view.Load()
	if b.fresh(v, now) || v.picker == nil || b.mishap.Load().notice(b, now) || !b.building.TryLock() {
		return v
	}
	go func() {
		defer b.building.Unlock()
		b.tryLocked(now)
	}()
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
	defer b.view.Store(next)    // also if an observer panics
	old.tell(next, b.observers) // before the first result of whoever has joined
	return next
}

// build derives a view from the pool. Breakers live on from one view to the next.
func (b *Balancer) build(old *view, now time.Time) *view {
	v := &view{epoch: b.epoch.Load(), snap: b.cfg.Pool.Snapshot(), previous: old.previous, first: old.entries == nil}
	v.entries, v.index = make([]entry, v.snap.Len()), v.snap.index(old)
	for i, be := range v.snap.backends {
		e := &v.entries[i]
		e.backend, e.weight = be, float64(be.Weight())
		if b.cfg.Hedge.Quantile > 0 {
			be.load.Track()
		}
		before := old.entry(be.load, i)
		if before != nil {
			e.breaker = before.breaker
		} else if b.cfg.Breakers != nil {
			e.breaker = b.cfg.Breakers(be)
		}
		if e.breaker != nil {
			v.note(e, now)
		}
		v.warm(e, before, b.cfg.SlowStart, now)
	}
	v.elect(b.cfg.PanicThreshold, b.rests.at(now))
	if len(v.eligible) > 0 {
		v.picker = b.cfg.Policy(v.set())
		v.learner, _ = v.picker.(interface{ Attempted(Result) })
	}
	if v.picker != nil {
		v.previous = v.picker
	}
	return v
}

// entry returns what v says about the backend with this load, or nil if v does not know it. Near is where
// it might stand; -1 if there is no telling.
func (v *view) entry(l *live.Load, near int) *entry {
	if near >= 0 && near < len(v.entries) && v.entries[near].backend.load == l {
		return &v.entries[near]
	}
	if i, ok := v.index[l]; ok {
		return &v.entries[i]
	}
	return nil
}

// index returns where the backends stand by their loads. It is old's if they stand where they stood: of
// ten thousand it takes most of the time that a view takes.
func (s *Snapshot) index(old *view) map[*live.Load]int32 {
	if slices.EqualFunc(s.backends, old.snap.backends, func(a, b *Backend) bool { return a.load == b.load }) && old.index != nil {
		return old.index
	}
	index := make(map[*live.Load]int32, s.Len())
	for i, be := range s.backends {
		index[be.load] = int32(i)
	}
	return index
}

// note asks a breaker for its state. One whose time for trials has come is as good as half-open.
func (v *view) note(e *entry, now time.Time) {
	state, trial := e.breaker.Status()
	e.state, e.cause = state, causeOf(e.breaker, state)
	if state == Open && trial.After(now) {
		v.again(trial)
	}
	e.eligible = state != Open || !trial.After(now)
}

// elect decides who may be picked.
func (v *view) elect(threshold float64, asked []rest) {
	fit, out := 0.0, 0.0
	for i := range v.entries {
		e := &v.entries[i]
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
	for i := range v.entries {
		e := &v.entries[i]
		e.eligible = e.eligible && (e.backend.facts.Fit() || v.failOpen)
	}
	v.spare(asked)
	v.eligible = make([]*entry, 0, len(v.entries))
	for i := range v.entries {
		if e := &v.entries[i]; e.eligible {
			v.eligible = append(v.eligible, e)
		}
	}
}

// set lists what the policy builds a picker over.
func (v *view) set() Set {
	s := Set{Previous: v.previous, Eligible: make([]Candidate, 0, len(v.eligible))}
	for i, be := range v.snap.backends {
		if e := &v.entries[i]; e.eligible {
			s.Eligible = append(s.Eligible, Candidate{Backend: e.backend, Weight: e.weight, Trial: e.state != Closed})
		} else {
			s.Others = append(s.Others, be)
		}
	}
	return s
}

// tell reports what differs in next.
func (v *view) tell(next *view, to observers) {
	for i, be := range v.snap.backends {
		if e := &v.entries[i]; next.entry(be.load, i) == nil {
			to.change(Change{
				Backend: e.backend, Before: e.backend.facts, BreakerBefore: e.state, WeightBefore: be.Weight(),
				Removed: true, Cause: be.cause,
			})
		}
	}
	for i, be := range next.snap.backends {
		e, old := &next.entries[i], v.entry(be.load, i)
		c := Change{
			Backend: e.backend, After: e.backend.facts, BreakerAfter: e.state, WeightAfter: be.Weight(),
			Joined: old == nil, Cause: be.cause, BreakerCause: e.cause,
		}
		if old != nil {
			c.Before, c.BreakerBefore, c.WeightBefore = old.backend.facts, old.state, old.backend.Weight()
		}
		switch own := c.Before ^ c.After; { // what the pool does not know of
		case own == Warming && be.facts&Warming == 0:
			c.Cause = warmCause
		case e.rest != nil:
			c.Cause = e.rest.cause()
		case own == Resting && be.facts&Resting == 0:
			c.Cause = restOver
		}
		if c.Joined || c.Before != c.After || c.BreakerBefore != c.BreakerAfter || c.WeightBefore != c.WeightAfter {
			to.change(c)
		}
	}
}
