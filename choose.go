package lb

import "math/rand/v2"

// picks is how often the picker is asked before the choice becomes a scan. With half of the
// backends refusing, three picks place seven of eight requests.
const picks = 3

// place takes a place for an attempt. Only when the present view has none, and is out of date, does
// the request wait for the next.
func (b *Balancer) place(t *trip) (*attempt, error) {
	now := t.info.Now
	v := b.current(now)
	a, err := v.choose(t)
	if err == nil || b.fresh(v, now) {
		return a, err
	}
	return b.await(now).choose(t)
}

// choose takes a place for t: where its session is bound, else where the picker says, else
// wherever there is one. If there is none, t has tried nobody more than before.
func (v *view) choose(t *trip) (got *attempt, err error) {
	t.full, t.denied = false, false
	if t.journal != nil {
		t.journal.choosing(v, t)
	}
	tried := len(t.info.tried)
	defer func() {
		if err != nil {
			t.info.tried = t.info.tried[:tried]
		}
	}()
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
		if a := v.take(be, t, 0); a != nil {
			return a, nil
		}
		t.tried(be)
	}
	from := rand.IntN(len(v.eligible)) // so that the overflow does not all go to one
	for i := range v.eligible {
		if a := v.take(v.eligible[(from+i)%len(v.eligible)].backend, t, 0); a != nil {
			return a, nil
		}
	}
	if a := v.lastResort(t); a != nil {
		return a, nil
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
		if a := v.take(be, t, Draining); a != nil {
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
	return v.take(best, t, 0)
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
// now. Anyway are facts that do not keep this request away: Draining, if its session is bound to be, and
// Resting in the last resort.
func (v *view) take(be *Backend, t *trip, anyway Facts) *attempt {
	e := v.entry(be.load, -1)
	if e == nil || t.info.Tried(be) {
		return nil
	}
	if !be.load.Enter(e.backend.spec.MaxInFlight) {
		t.full = true
		return nil
	}
	taken := false
	defer func() {
		if !taken { // or a breaker panics
			e.backend.load.Withdraw()
		}
	}()
	// In this order, count first and then look, whoever removes a backend sees the request or
	// the request sees the removal.
	be = v.present(e.backend, t.b.cfg.Pool.Snapshot())
	if be == nil || !v.welcome(be.facts, anyway) {
		return nil
	}
	permit := Permit(0)
	if e.breaker != nil {
		var ok bool
		permit, ok = e.breaker.Allow()
		if !ok || e.state != Closed {
			t.b.heed(be.load, e.breaker)
		}
		if !ok {
			t.denied = true
			return nil
		}
	}
	a := t.newAttempt()
	a.trip, a.view, a.backend, a.breaker, a.permit = t, v, be, e.breaker, permit
	taken = true
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

func (v *view) welcome(f, anyway Facts) bool {
	f &^= anyway
	return f.Fit() || v.failOpen && !f.Has(Draining)
}
