package autoscale

import "time"

// service is what a request takes, from Little's law: sums of the time in flight and of the
// requests that ended, which fade while nothing queues, and stay as they are while something does.
// Those that began would be too many while load grows, and a request seem too short.
type service struct{ busy, ended float64 }

// learn takes an interval in if all that was in flight had a slot, for a while.
func (s service) learn(l Load, before means, slots float64, window time.Duration) service {
	if max(l.Concurrency, before.flight) > slots || l.Warming > 0 || l.troubled() {
		return s
	}
	keep := decay(l.Interval, window)
	return service{
		busy:  s.busy*keep + l.Concurrency*l.Interval.Seconds(),
		ended: s.ended*keep + float64(l.Ended),
	}
}

// load is what the requests of an interval need in slots: what was in flight, if that had slots;
// else what the rate calls for. But what takes longer than the window does not queue, it stays.
func (s service) load(l Load, slots float64, window time.Duration) float64 {
	if l.Concurrency <= slots || s.ended <= 0 || s.busy > s.ended*window.Seconds() {
		return l.Concurrency
	}
	return min(l.Concurrency, s.at(l.rate()))
}

// at is how many requests are in flight at a rate when none queues.
func (s service) at(rate float64) float64 {
	if s.ended <= 0 {
		return 0
	}
	return rate * s.busy / s.ended
}

// stuck watches a queue that the rate of requests does not explain.
type stuck struct {
	since time.Time // zero: there is none
	level float64   // in flight at that time
	slots float64   // of the fit backends at that time
}

// next goes on, begins or ends. It begins anew when the queue shrinks by a tenth, or when there
// are other backends to work at it.
func (s stuck) next(l Load, fast means, slots float64, rate service) stuck {
	switch {
	case fast.flight <= slots, rate.at(fast.rate) > slots, l.Warming > 0:
		return stuck{}
	case s.since.IsZero(), fast.flight < 0.9*s.level, slots != s.slots:
		return stuck{since: l.Now, level: fast.flight, slots: slots}
	}
	return s
}

// lasts reports whether it has been so for that long.
func (s stuck) lasts(now time.Time, window time.Duration) bool {
	return !s.since.IsZero() && now.Sub(s.since) >= window
}
