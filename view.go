package lb

import (
	"math/rand/v2"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// picks is how often the picker is asked before the choice becomes a scan. With half of the
// backends refusing, three picks place seven of eight requests.
const picks = 3

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

// rebuildLocked replaces the view and tells what has changed since the one before.
func (b *Balancer) rebuildLocked(now time.Time) *view {
	old := b.view.Load()
	next := b.build(old, now)
	b.view.Store(next)
	old.tell(next, b.observers)
	return next
}

// build derives a view from the pool. Breakers live on from one view to the next.
func (b *Balancer) build(old *view, now time.Time) *view {
	v := &view{epoch: b.epoch.Load(), snap: b.cfg.Pool.Snapshot(), previous: old.previous}
	v.entries = make(map[*live.Load]*entry, v.snap.Len())
	for _, be := range v.snap.backends {
		e := &entry{backend: be, weight: float64(be.Weight())}
		v.entries[be.load] = e
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
	e.state = state
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
		c := Change{Backend: be, After: be.facts, BreakerAfter: e.state, Joined: old == nil, Cause: be.cause}
		if old != nil {
			c.Before, c.BreakerBefore = old.backend.facts, old.state
		}
		if c.Joined || c.Before != c.After || c.BreakerBefore != c.BreakerAfter {
			to.change(c)
		}
	}
}

// seat finds a place for an attempt. Only when the present view has none, and is out of date,
// does the request wait for the next.
func (b *Balancer) seat(t *trip, now time.Time) (*attempt, error) {
	v, tried := b.current(now), len(t.info.tried)
	a, err := v.choose(t)
	if err == nil || b.fresh(v, now) {
		return a, err
	}
	t.info.tried = t.info.tried[:tried]
	return b.await(now).choose(t)
}

// choose takes a place for t: where its session is bound, else where the picker says, else
// wherever there is one.
func (v *view) choose(t *trip) (*attempt, error) {
	if a := v.follow(t); a != nil {
		return a, nil
	}
	if v.picker == nil {
		return nil, ErrNoBackend
	}
	for range picks {
		t.info.Rand = rand.Uint64()
		be := v.picker.Pick(t.info)
		if be == nil {
			return nil, ErrRefused
		}
		be = v.calmest(be, t.info.Rand)
		if a := v.take(be, t, false); a != nil {
			return a, nil
		}
		t.tried(be)
	}
	from := rand.IntN(len(v.eligible)) // so that the overflow does not all go to one
	for i := range v.eligible {
		if a := v.take(v.eligible[(from+i)%len(v.eligible)].backend, t, false); a != nil {
			return a, nil
		}
	}
	return nil, ErrRefused
}

// follow takes a place on the backend that t's session is bound to, or, where that is not to be
// had, on the one that every balancer would choose in its stead: the highest by rendezvous
// hashing (Thaler and Ravishankar, 1998). It returns nil if there is no session or no place.
func (v *view) follow(t *trip) *attempt {
	if t.bound == "" {
		return nil
	}
	if be := v.snap.Find(t.bound); be != nil {
		if a := v.take(be, t, true); a != nil {
			return a
		}
	}
	var best *Backend
	high := uint64(0)
	for _, e := range v.eligible {
		if h := rendezvous(t.session, e.backend.ID()); h >= high && e.backend.ID() != t.bound && !t.info.Tried(e.backend) {
			best, high = e.backend, h
		}
	}
	if best == nil {
		return nil
	}
	return v.take(best, t, false)
}

// rendezvous is FNV-1a over both names with a final mix, the same in every process.
func rendezvous(session, backend string) uint64 {
	h := uint64(14695981039346656037)
	for _, s := range [2]string{session, backend} {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h *= 1099511628211
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	return h ^ h>>33
}

// calmest returns be, unless nobody is fit and the last request to be failed: then it returns
// whoever has failed least recently, looking from a place that r chooses.
func (v *view) calmest(be *Backend, r uint64) *Backend {
	if !v.failOpen || be.facts.Fit() || be.load.Failing() == 0 {
		return be
	}
	from := int(r % uint64(len(v.eligible)))
	for i := range v.eligible {
		if other := v.eligible[(from+i)%len(v.eligible)].backend; other.load.Failing() < be.load.Failing() {
			be = other
		}
	}
	return be
}

// take counts the request in on be and asks its breaker, or returns nil if be cannot serve it
// now. Only a request whose session is bound to be may go there while it drains.
func (v *view) take(be *Backend, t *trip, bound bool) *attempt {
	e := v.entries[be.load]
	if e == nil || t.info.Tried(be) || !be.load.Enter(e.backend.spec.MaxInFlight) {
		return nil
	}
	// In this order, count first and then look, whoever removes a backend sees the request or
	// the request sees the removal.
	be = v.present(e.backend, t.b.cfg.Pool.Snapshot())
	if be == nil || !v.welcome(be.facts, bound) {
		e.backend.load.Leave()
		return nil
	}
	a := &attempt{trip: t, view: v, backend: be, breaker: e.breaker}
	if a.breaker == nil {
		return a
	}
	permit, ok := a.breaker.Allow()
	if !ok {
		be.load.Leave()
		return nil
	}
	a.permit = permit
	return a
}

// present returns be as snap has it, or nil if it has gone.
func (v *view) present(be *Backend, snap *Snapshot) *Backend {
	if snap == v.snap {
		return be
	}
	now := snap.Find(be.ID())
	if now == nil || now.load != be.load {
		return nil
	}
	return now
}

func (v *view) welcome(f Facts, bound bool) bool {
	switch {
	case f.Has(Draining):
		return bound && (f&unfit == 0 || v.failOpen)
	case f.Fit():
		return true
	}
	return v.failOpen
}
