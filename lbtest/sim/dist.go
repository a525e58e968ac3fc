package sim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Dist is a distribution of durations. Draw takes one from a generator, and from nothing else. It
// is called by one goroutine, often, and should not allocate. What is drawn below zero counts as
// zero.
type Dist interface {
	Draw(r *rand.Rand) time.Duration
}

// Fixed is always the same duration.
type Fixed time.Duration

// Draw returns f.
func (f Fixed) Draw(*rand.Rand) time.Duration { return time.Duration(f) }

func (f Fixed) check() error { return positive("Fixed", time.Duration(f)) }

// Exponential is the memoryless distribution with this mean.
type Exponential time.Duration

// Draw returns a duration of mean e.
func (e Exponential) Draw(r *rand.Rand) time.Duration {
	return time.Duration(float64(e) * r.ExpFloat64())
}

func (e Exponential) check() error { return positive("Exponential", time.Duration(e)) }

// Normal is the normal distribution with what is below zero moved to zero. With SD equal to Mean,
// as in the test bed of Prequal (NSDI 2024), the mean of what remains is 1.0833 Mean.
type Normal struct{ Mean, SD time.Duration }

// Draw returns max(0, N(Mean, SD)).
func (n Normal) Draw(r *rand.Rand) time.Duration {
	return time.Duration(max(0, float64(n.Mean)+float64(n.SD)*r.NormFloat64()))
}

func (n Normal) check() error {
	return errors.Join(positive("Normal.Mean", n.Mean), positive("Normal.SD", n.SD))
}

// LogNormal is exp(N(ln Median, Sigma)): its mean is Median exp(Sigma^2/2).
type LogNormal struct {
	Median time.Duration
	Sigma  float64 // of the logarithm, in natural units; at most 10
}

// Draw returns a duration above zero.
func (l LogNormal) Draw(r *rand.Rand) time.Duration {
	return bounded(float64(l.Median) * math.Exp(l.Sigma*r.NormFloat64()))
}

func (l LogNormal) check() error {
	if !(l.Sigma >= 0 && l.Sigma <= 10) {
		return fmt.Errorf("LogNormal.Sigma %v is not between 0 and 10", l.Sigma)
	}
	return positive("LogNormal.Median", l.Median)
}

// Pareto has the survival (Min/x)^Alpha from Min on: a heavy tail, whose mean is
// Min Alpha/(Alpha-1). Max, if above zero, bounds what is drawn.
type Pareto struct {
	Min   time.Duration
	Alpha float64 // above 1, so that there is a mean
	Max   time.Duration
}

// Draw returns a duration from Min on.
func (p Pareto) Draw(r *rand.Rand) time.Duration {
	x := bounded(float64(p.Min) * math.Exp(r.ExpFloat64()/p.Alpha))
	if p.Max > 0 {
		x = min(x, p.Max)
	}
	return x
}

func (p Pareto) check() error {
	if !(p.Alpha > 1) || math.IsInf(p.Alpha, 1) {
		return fmt.Errorf("Pareto.Alpha %v is not above 1, so there is no mean", p.Alpha)
	}
	return errors.Join(positive("Pareto.Min", p.Min), positive("Pareto.Max", p.Max))
}

// Mixture draws from one of several distributions, chosen by weight.
type Mixture []Part

// Part is one of a mixture.
type Part struct {
	Weight float64 // relative to the others, above zero
	Dist
}

// Draw takes a part, and draws from it. It costs time in the number of parts.
func (m Mixture) Draw(r *rand.Rand) time.Duration {
	total := 0.0
	for _, p := range m {
		total += p.Weight
	}
	x := r.Float64() * total
	for _, p := range m[:len(m)-1] {
		if x < p.Weight {
			return p.Dist.Draw(r)
		}
		x -= p.Weight
	}
	return m[len(m)-1].Dist.Draw(r)
}

func (m Mixture) check() error {
	if len(m) == 0 {
		return errors.New("Mixture has no part")
	}
	var errs []error
	for i, p := range m {
		if !(p.Weight > 0) || math.IsInf(p.Weight, 1) {
			errs = append(errs, fmt.Errorf("Mixture: weight %v of part %d is not above zero and finite", p.Weight, i))
		}
		errs = append(errs, checkDist(fmt.Sprintf("Mixture: part %d", i), p.Dist, true))
	}
	return errors.Join(errs...)
}

// Survival is a distribution known by how much of it lies beyond some points: straight lines
// between them where both axes are logarithmic, and on along the last one.
type Survival []Point

// Point says that a share of all durations, Beyond, is longer than At.
type Point struct {
	At     time.Duration // above zero, rising
	Beyond float64       // above zero, falling; 1 at the first point
}

// Draw returns a duration from the first point on. It costs time in the number of points.
func (s Survival) Draw(r *rand.Rand) time.Duration {
	u := 1 - r.Float64() // above zero, up to 1
	i := 1
	for i < len(s)-1 && u < s[i].Beyond {
		i++
	}
	a, b := s[i-1], s[i]
	slope := math.Log(float64(b.At)/float64(a.At)) / math.Log(b.Beyond/a.Beyond)
	return bounded(float64(a.At) * math.Exp(slope*math.Log(u/a.Beyond)))
}

func (s Survival) check() error {
	if len(s) < 2 || s[0].Beyond != 1 {
		return errors.New("Survival needs two points or more, the first with 1 beyond it")
	}
	for i, p := range s {
		if p.At <= 0 || !(p.Beyond > 0) || i > 0 && (p.At <= s[i-1].At || p.Beyond >= s[i-1].Beyond) {
			return fmt.Errorf("Survival: point %d, %v with %v beyond, is not after and below the one before", i, p.At, p.Beyond)
		}
	}
	return nil
}

// century bounds what is drawn, far from overflow.
const century = 100 * 365 * 24 * time.Hour

// bounded turns nanoseconds into a duration that can be added to others.
func bounded(ns float64) time.Duration { return time.Duration(min(ns, float64(century/2))) }

func positive(what string, d time.Duration) error {
	if d < 0 || d > century/2 {
		return fmt.Errorf("%s %v is below zero or above 50 years", what, d)
	}
	return nil
}

// checkDist returns what is wrong with a distribution.
func checkDist(what string, d Dist, required bool) error {
	if d == nil {
		if required {
			return fmt.Errorf("%s is nil; try sim.Exponential(10 * time.Millisecond)", what)
		}
		return nil
	}
	if c, ok := d.(interface{ check() error }); ok {
		if err := c.check(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}
