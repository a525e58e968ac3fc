package autoscale

import "time"

// Load is what a Plan decides by.
type Load struct {
	Now   time.Time // when it was taken; a plan reads no clock
	Moved time.Time // since when nothing has been launched, drained or terminated; Now while something is

	Backends int   // in the pool, without those that drain, and being launched
	Starting int   // of these, being launched
	Fit      int   // of these, fit
	Warming  int   // of these, getting less than their share since they are new
	Begun    int64 // requests that came in the interval
	Ended    int64 // requests that ended in it, whatever became of them
	Requests int64 // answered by backends in the interval; 429 and 503 are no answers
	Failed   int64 // not answered, or with 503, in the interval
	InFlight int64 // being served now, by all backends of the pool

	// Concurrency is the mean number of requests in flight during the interval, exact: the time
	// that all of them together spent in it, divided by it. Requests that wait for a backend
	// count, too.
	Concurrency float64

	Interval time.Duration // in which the requests were counted; zero when Run begins
}

// troubled reports whether a low number of answered requests proves nothing.
func (l Load) troubled() bool { return l.Failed*10 > l.Requests }

// crippled reports whether more than half of the backends that were started are unfit: whatever
// that is, it is not a question of how many there are.
func (l Load) crippled() bool { return l.Fit*2 < l.Backends-l.Starting }

// rate is how many requests came in a second.
func (l Load) rate() float64 {
	if l.Interval <= 0 {
		return 0
	}
	return float64(l.Begun) / l.Interval.Seconds()
}

// Plan decides how many backends a load needs. A plan is a value: it changes nothing, reads no
// clock and draws nothing, so that a simulation or a fuzzer can drive it.
type Plan interface {
	// Next returns how many backends l needs, which is then brought between Config.Min and
	// Config.Max, and the plan to ask next time, with all that there is to remember. The plan
	// that was asked stays as it was.
	Next(l Load) (Plan, int)
}

// PlanFunc is a Plan that remembers nothing. A Scaler is patient on its behalf: see Config.Cooldown.
type PlanFunc func(Load) int

// Next returns f again, and f(l).
func (f PlanFunc) Next(l Load) (Plan, int) { return f, f(l) }

// Step is the plan that adds one backend when more than threshold requests were answered in one
// interval, by all backends together, and takes one away when it was half of threshold or less.
// A threshold below 1 means 1.
func Step(threshold int) PlanFunc {
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
func PerBackend(n int) PlanFunc {
	each := int64(max(1, n))
	return func(l Load) int { return int((l.Requests + each - 1) / each) }
}

// Largest is the plan that wants what the one of several plans wants that wants most. A PlanFunc
// among them is obeyed at once, up and down.
func Largest(plans ...Plan) Plan { return largest(plans) }

type largest []Plan

func (all largest) Next(l Load) (Plan, int) {
	next, most := make(largest, len(all)), 0
	for i, p := range all {
		var want int
		next[i], want = p.Next(l)
		most = max(most, want)
	}
	return next, most
}
