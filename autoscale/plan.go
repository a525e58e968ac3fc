package autoscale

import "time"

// Load is what a Plan decides by.
type Load struct {
	Backends int           // in the pool, without those that drain, and being launched
	Starting int           // of these, being launched
	Fit      int           // of these, fit
	Requests int64         // answered by backends in the interval; 429 and 503 are no answers
	Failed   int64         // not answered, or with 503, in the interval
	InFlight int64         // being served now, by all backends of the pool
	Interval time.Duration // in which the requests were counted; zero when Run begins
}

// troubled reports whether a low number of answered requests proves nothing.
func (l Load) troubled() bool { return l.Failed*10 > l.Requests }

// Plan returns how many backends a load needs. It should be a pure function. What it returns is
// brought between Config.Min and Config.Max.
type Plan func(Load) int

// Step is the plan that adds one backend when more than threshold requests were answered in one
// interval, by all backends together, and takes one away when it was half of threshold or less.
// A threshold below 1 means 1.
func Step(threshold int) Plan {
	most := int64(max(1, threshold))
	return func(l Load) int {
		switch {
		case l.Requests > most:
			return l.Backends + 1
		case l.Requests <= most/2:
			return l.Backends - 1
		}
		return l.Backends
	}
}

// PerBackend is the plan that wants one backend for each n requests of an interval, rounded up.
// An n below 1 means 1.
func PerBackend(n int) Plan {
	each := int64(max(1, n))
	return func(l Load) int { return int((l.Requests + each - 1) / each) }
}

// trend is what a Scaler remembers from one interval to the next.
type trend struct {
	low time.Time // since when less was wanted in every interval, and nothing moved
}

// next says by how many backends to move now: by all that are missing at once, down by one after
// a cooldown. Nothing has moved since rest.
func (t trend) next(now time.Time, l Load, rest time.Time, cfg Config) (trend, int) {
	want := min(max(cfg.Plan(l), cfg.Min), cfg.Max)
	if t.low.Before(rest) {
		t.low = rest
	}
	switch {
	case want > l.Backends:
		return trend{low: now}, want - l.Backends
	case want == l.Backends, l.troubled():
		return trend{low: now}, 0
	case now.Sub(t.low) < cfg.Cooldown:
		return t, 0
	}
	return trend{low: now}, -1
}
