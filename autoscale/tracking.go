package autoscale

import (
	"math"
	"time"
)

// tracking is the plan behind Utilization and Requests: a value, with what it remembers in past.
type tracking struct {
	pace  Pace
	slots float64               // of one backend; zero: load is a rate
	need  func(float64) float64 // backends that a load needs, not rounded; grows with it
	past  past
}

// past is what a plan remembers. Its slices are never written to again.
type past struct {
	spans    spans   // the last Stable
	peaks    peaks   // of need, the last Hold
	service  service // what a request takes
	stuck    stuck
	trend    trend
	panicked time.Time // when the short window last called for a panic
	outage   time.Time // when a low load last proved nothing
	fell     time.Time // when fewer were last wanted
}

// needs is how many backends the windows call for, not rounded.
type needs struct{ slow, fast, ahead float64 }

// Next makes a decision.
func (t tracking) Next(l Load) (Plan, int) {
	p := &t.past
	if l.Interval <= 0 { // nothing is known yet: that so many are there is a reason to keep them
		p.peaks = p.peaks.add(l.Now, float64(l.Backends), t.pace.Hold)
		return t, l.Backends
	}
	n := t.needs(l)
	if n.fast >= t.pace.PanicAt*float64(max(1, l.Fit)) {
		p.panicked = l.Now
	}
	peak := max(n.slow, n.fast, n.ahead)
	if p.outage.Equal(l.Now) { // what there is must do as what is needed
		peak = max(peak, float64(l.Backends))
	}
	p.peaks = p.peaks.add(l.Now, peak, t.pace.Hold)
	want := t.want(l, n)
	if want < l.Backends {
		p.fell = l.Now
	}
	return t, want
}

// want says how many backends there should be. Those that were unfit throughout the long window
// serve nobody, and do not count.
func (t tracking) want(l Load, n needs) int {
	unfit := t.past.spans.unfit()
	serving := float64(l.Backends - unfit)
	up := max(n.slow, n.ahead)
	if t.panics(l.Now) {
		up = max(n.slow, n.fast)
	}
	switch {
	case l.crippled():
		return l.Backends
	case up > serving*(1+t.pace.Tolerance):
		fit := float64(l.Fit)
		return max(l.Backends, unfit+ceil(min(up, max(t.pace.Growth*fit, fit+4))))
	case t.panics(l.Now), t.lately(t.past.fell, l.Now):
		return l.Backends
	}
	if top := t.past.peaks.top(); top < serving*(1-t.pace.Tolerance) {
		return min(l.Backends, unfit+ceil(max(top, serving/2)))
	}
	return l.Backends
}

// panics reports whether there is a panic.
func (t tracking) panics(now time.Time) bool { return t.lately(t.past.panicked, now) }

// lately reports whether something, if ever, was less than a long window ago.
func (t tracking) lately(at, now time.Time) bool {
	return !at.IsZero() && now.Sub(at) < t.pace.Stable
}

// needs takes an interval in, and reads the windows.
func (t *tracking) needs(l Load) (n needs) {
	p := &t.past
	all := t.slots * float64(l.Fit-l.Warming)
	load := l.rate()
	if t.slots > 0 {
		p.service = p.service.learn(l, p.spans.mean(l.Now, t.pace.Panic), all, t.pace.Stable)
		load = p.service.load(l, all, t.pace.Stable)
	}
	p.spans = p.spans.add(l, load, t.pace.Stable)
	if p.spans.troubled() || l.crippled() {
		p.outage = l.Now
	}
	fast := p.spans.mean(l.Now, t.pace.Panic)
	n.slow, n.fast = t.need(p.spans.mean(l.Now, t.pace.Stable).load), t.need(fast.load)
	if t.slots > 0 {
		p.stuck = p.stuck.next(l, fast, all, p.service)
		if p.stuck.lasts(l.Now, t.pace.Stable) {
			n.slow = max(n.slow, t.need(min(fast.flight, all)))
		}
	}
	if t.pace.Ahead > 0 {
		p.trend = p.trend.next(n.fast, l.Interval, t.pace.Stable, t.lately(p.panicked, l.Now) || t.lately(p.outage, l.Now))
		n.ahead = p.trend.at(t.pace.Ahead)
	}
	return n
}

// ceil rounds up, but for what rounding errors added.
func ceil(x float64) int { return int(math.Ceil(min(x, 1<<30) - 1e-9)) }
