package health

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// sample is what one backend of those that are compared has done within the interval.
type sample struct {
	id     string
	record *record
	counts
	cause string // why it is an outlier; "" if it is none
}

// What Envoy calls success_rate_minimum_hosts and failure_percentage_request_volume, and what there is
// for pools below the former.
const (
	fewest      = 5    // backends that can be compared by deviations
	forShare    = 50   // results for FailureShare
	forMedian   = 30   // results to be compared with the median
	medianTimes = 3    // of the others' median
	medianLeast = 0.10 // share of bad results that is a reason
)

// compareLocked ejects the outliers, the worst first: those at the cap stay.
func (e *Ejector) compareLocked(now time.Time) {
	var samples []sample
	for id, r := range *e.records.Load() {
		var within counts
		if r.window, within = r.window.add(r.counts()); !r.out && within.results > 0 {
			samples = append(samples, sample{id: id, record: r, counts: within})
		}
	}
	e.cfg.judge(samples)
	snap := e.cfg.Pool.Snapshot()
	slices.SortFunc(samples, func(a, b sample) int {
		return cmp.Or(cmp.Compare(b.badShare(), a.badShare()), cmp.Compare(a.id, b.id))
	})
	for _, s := range samples {
		if b := snap.Find(s.id); s.cause != "" && b != nil && b.Facts()&gone == 0 {
			e.ejectLocked(b, s.record, now, s.cause)
		}
	}
}

// judge names the outliers among backends. It costs their number times its logarithm.
func (cfg EjectorConfig) judge(samples []sample) {
	for i := range samples {
		s := &samples[i]
		if share := float64(s.failed) / float64(s.results); cfg.FailureShare >= 0 && s.results >= forShare && share >= cfg.FailureShare {
			s.cause = fmt.Sprintf("%.1f %% of %d requests failed, the limit is %.4g %%", 100*share, s.results, 100*cfg.FailureShare)
		}
	}
	if cfg.Deviations >= 0 {
		cfg.byDeviations(samples)
		byMedian(samples)
	}
}

// byDeviations compares success rates with their mean, as Envoy does. The deviation is that of the
// whole population.
func (cfg EjectorConfig) byDeviations(samples []sample) {
	var rates []float64
	var all counts
	for _, s := range samples {
		if s.results >= uint64(cfg.Requests) {
			rates = append(rates, 1-s.badShare())
			all = all.plus(s.counts)
		}
	}
	if len(rates) < fewest {
		return
	}
	mean, deviation := spread(rates)
	limit := mean - cfg.Deviations*deviation
	for i := range samples {
		s := &samples[i]
		if rate := 1 - s.badShare(); s.results >= uint64(cfg.Requests) && rate < limit && s.counts.unlike(all.minus(s.counts)) {
			s.cause = cmp.Or(s.cause, fmt.Sprintf("success rate %.1f %% below %.1f %%, the pool's mean %.1f %% minus %.4g deviations",
				100*rate, 100*limit, 100*mean, cfg.Deviations))
		}
	}
}

// spread returns the mean and the standard deviation of at least one number.
func spread(xs []float64) (mean, deviation float64) {
	for _, x := range xs {
		mean += x / float64(len(xs))
	}
	for _, x := range xs {
		deviation += (x - mean) * (x - mean) / float64(len(xs))
	}
	return mean, math.Sqrt(deviation)
}

// byMedian compares shares of bad results with the median of the others.
func byMedian(samples []sample) {
	var shares []float64
	var all counts
	for _, s := range samples {
		if s.results >= forMedian {
			shares = append(shares, s.badShare())
			all = all.plus(s.counts)
		}
	}
	if len(shares) < 2 {
		return
	}
	slices.Sort(shares)
	for i := range samples {
		s := &samples[i]
		if s.results < forMedian || s.badShare() < medianLeast {
			continue
		}
		others := medianWithout(shares, s.badShare())
		const rounding = 1e-9 // so that 0.3 is three times 0.1
		if s.badShare()+rounding >= medianTimes*others && s.counts.unlike(all.minus(s.counts)) {
			s.cause = cmp.Or(s.cause, fmt.Sprintf("%.1f %% of %d requests were bad, the others' median is %.1f %%", 100*s.badShare(), s.results, 100*others))
		}
	}
}

// medianWithout returns the median of sorted numbers, two or more, but for one of those that equal x.
func medianWithout(sorted []float64, x float64) float64 {
	out, _ := slices.BinarySearch(sorted, x)
	at := func(i int) float64 {
		if i >= out {
			i++
		}
		return sorted[i]
	}
	n := len(sorted) - 1
	return (at((n-1)/2) + at(n/2)) / 2
}

// unlike reports whether more results are bad than chance explains, if the others are as they should
// be: five standard deviations of Poisson's distribution above its mean, and more where that is small.
func (c counts) unlike(others counts) bool {
	expected := float64(c.results) * float64(others.bad+1) / float64(max(1, others.results))
	return float64(c.bad) > expected+5*math.Sqrt(expected)+1.5
}

func (c counts) plus(d counts) counts {
	return counts{c.results + d.results, c.bad + d.bad, c.failed + d.failed}
}
