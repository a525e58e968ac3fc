package picker

import (
	"math"
	"time"

	"github.com/go-loadbalancer/lb"
)

const (
	// perError is how much dearer a backend is for the share of its requests that fail.
	perError = 10
	// worst bounds the error rate that is reckoned with, so that two backends that do nothing but
	// fail can be compared.
	worst = 0.9995
	// stranger is how much slower than the other a backend is taken to be that has work but has
	// never answered. In Finagle's PeakEwma it is slower than any, which shuts a backend out for as
	// long as its first request takes.
	stranger = 100
	// forgiven is the error rate below which a backend that never answered is tried again.
	forgiven = 0.05
	// perTrial divides the weight of a backend whose breaker is not sure of it.
	perTrial = 4
	// explored is how many picks there are for each that is made without looking.
	explored = 100
)

// PeakEWMA draws two different backends, all pairs equally likely, and picks the one that is
// cheaper: latency x (in flight + 1) x (1 + 10e) / (1 - e) / weight, where e is the error rate.
// It is made for backends of unequal speed. The latency is peak-sensitive, as in Finagle: a slower
// answer is believed at once, faster ones over ten seconds. The errors have no bound that work
// elsewhere could reach: who only fails has nothing in flight, and would get all the rest.
//
// Latency and error rate fade while no answer comes, so that a backend which nobody has asked
// for long is asked again: a bad start is not for good. As far as a backend fails its latency
// does not fade, so that to fail fast is not to be fast. A backend that has nothing in flight and
// that nobody has met is tried at once, but counts as a hundred times slower than the other
// until it has answered, or while it has done nothing but fail. A pick costs the same for any
// number of backends.
func PeakEWMA(set lb.Set) lb.Picker { return peakEWMA(set.Eligible) }

type peakEWMA []lb.Candidate

func (p peakEWMA) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	a, b := d.two(p, info)
	return cheaper(a, b, info.Now, shunned)
}

// Adaptive draws two different backends, all pairs equally likely, and picks the one with the
// lower score: latency x (in flight + 1) x (1 + 10e) x (4 while its breaker admits trials only) /
// weight, where e is the error rate. One pick in a hundred goes to any backend with the same
// chance, so that nobody is forgotten and what is believed of each stays true. It is the one to
// take when little is known about the backends.
//
// Latencies and strangers are treated as in PeakEWMA. Errors make a backend at most eleven times
// dearer: when the others have more work than that, one that only fails is asked again, which is
// for its breaker to end. A pick costs the same for any number of backends.
func Adaptive(set lb.Set) lb.Picker {
	for i := range set.Eligible {
		if set.Eligible[i].Trial {
			set.Eligible[i].Weight /= perTrial
		}
	}
	return adaptive(set.Eligible)
}

type adaptive []lb.Candidate

func (p adaptive) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	if d.below(explored) == 0 {
		return p[d.below(len(p))].Backend
	}
	a, b := d.two(p, info)
	return cheaper(a, b, info.Now, penalised)
}

// cheaper returns the backend that is likely to answer first, for its weight. Penalty is the
// factor for an error rate.
func cheaper(a, b *lb.Candidate, now time.Time, penalty func(float64) float64) *lb.Backend {
	if a == b {
		return a.Backend
	}
	x, y := seen(a.Backend, now), seen(b.Backend, now)
	mine := math.Float64bits(cost(x, y.Latency) * penalty(x.ErrorRate) * b.Weight) // over both weights
	its := math.Float64bits(cost(y, x.Latency) * penalty(y.ErrorRate) * a.Weight)
	best, other := b.Backend, a.Backend
	if mine <= its { // as numbers from 0 up do, and without a branch that nobody can foretell
		best = other
	}
	return best
}

// seen returns b's load at a time. As much of its latency as it fails does not fade.
func seen(b *lb.Backend, now time.Time) lb.Load {
	l := b.Load(now)
	if l.ErrorRate > 0 {
		l.Latency = max(l.Latency, time.Duration(l.ErrorRate*float64(b.Latency())))
	}
	return l
}

// penalised is the bounded factor of Adaptive.
func penalised(e float64) float64 { return 1 + perError*e }

// shunned is the factor of PeakEWMA, which no work elsewhere can reach.
func shunned(e float64) float64 { return penalised(e) / (1 - min(e, worst)) }

// cost is what a request costs on a backend that does not fail, whose rival answers in the other
// time.
func cost(l lb.Load, other time.Duration) float64 {
	latency := float64(l.Latency)
	if l.Latency == 0 {
		if l.InFlight == 0 && l.ErrorRate < forgiven {
			return 0
		}
		latency = stranger * max(1, float64(other))
	}
	return latency * float64(l.InFlight+1)
}
