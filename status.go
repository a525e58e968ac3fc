package lb

import "time"

// Status is how a balancer sees its backends at one moment.
type Status struct {
	Backends []BackendStatus // of the whole pool, sorted by ID
	// Available is how many backends could be tried now, those by failing open included. When
	// it is zero, requests get 503.
	Available int
	// FailOpen says that too few backends are fit to believe it, so that those that are out are
	// eligible, too.
	FailOpen bool
	// Active is how many requests have not ended, tunnels included.
	Active int64
	// Queued is how many of them wait for a place or for a backend: see Config.Queue and
	// Config.WaitForBackend.
	Queued int
}

// BackendStatus is how a balancer sees one backend.
type BackendStatus struct {
	*Backend                // its Facts have Warming and Resting, too, while this balancer lets it warm or rest
	Share      float64      // the weight it is picked with, as Candidate.Weight; 0 if it is not eligible
	Breaker    BreakerState // Closed if it has none
	NextTrial  time.Time    // when Breaker is Open: the earliest next trial
	RestsUntil time.Time    // when it is Resting for this balancer: until when; else zero
	// BreakerCause says why Breaker opened, for people; "" if it is Closed or does not say.
	BreakerCause string
}

// Status returns how things stand, for dashboards and readiness checks. It costs time in the
// number of backends, and tells observers of changes that no request has noticed yet.
func (b *Balancer) Status() Status {
	v := b.look(time.Now())
	s := Status{
		Backends:  make([]BackendStatus, 0, v.snap.Len()),
		Available: len(v.eligible),
		FailOpen:  v.failOpen,
		Active:    b.active.Load(),
		Queued:    b.patience.depth(),
	}
	for i := range v.entries {
		e := &v.entries[i]
		st := BackendStatus{Backend: e.backend}
		if e.breaker != nil {
			st.Breaker, st.NextTrial = e.breaker.Status()
			st.BreakerCause = causeOf(e.breaker, st.Breaker)
		}
		if e.rest != nil {
			st.RestsUntil = e.rest.until
		}
		if e.eligible {
			st.Share = e.weight
		}
		s.Backends = append(s.Backends, st)
	}
	return s
}

// causeOf returns why a breaker in that state has opened, or "".
func causeOf(b Breaker, state BreakerState) string {
	if says, ok := b.(interface{ Cause() string }); ok && state != Closed {
		return says.Cause()
	}
	return ""
}
