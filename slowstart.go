package lb

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// SlowStart has backends begin with less than their share: those that join the pool while others
// serve already, and those that come back, because they are fit again or because their breaker has
// closed. What a balancer finds in the pool when it first looks begins with its whole share. The zero
// value is off.
//
// For Window a backend is Warming, for this balancer, in its Status and its Changes, and has the weight
//
//	weight x max(Least, (time / Window) ^ (1 / Aggression))
//
// as Envoy has it: with an Aggression of 1 a fifth after a fifth of the window, with 2 already 0.447.
// Policies that go by weights honour it; RoundRobin and Random of package picker ignore all weights,
// and so this one, too: take Weighted and WeightedRandom in their stead. Policies that compare requests
// in flight give a backend that has none its next request, however small its weight: so while traffic
// is light, a newcomer may have one at a time.
//
// A picker is built anew in steps, a twentieth of Window apart, and at least 100 ms.
type SlowStart struct {
	// Window is how long it takes. Zero is off.
	Window time.Duration
	// Aggression bends the curve: above 1 it rises faster at first, below 1 slower. Zero means 1, a
	// straight line.
	Aggression float64
	// Least is the share of its weight, above 0 and up to 1, that a backend has at once. Zero means
	// a tenth.
	Least float64
}

// warmCause says why a backend is Warming, or no longer.
const warmCause = "slow start"

func (s SlowStart) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lb: Config.SlowStart."+format, args...))
		}
	}
	add(s.Window < 0, "Window %v is negative; zero is off", s.Window)
	add(!(s.Aggression >= 0 && s.Aggression <= math.MaxFloat64), "Aggression %v is not above 0; zero means 1", s.Aggression)
	add(!(s.Least >= 0 && s.Least <= 1), "Least %v is no share from 0 to 1; zero means 0.1", s.Least)
	add(s.Window == 0 && (s.Aggression != 0 || s.Least != 0), "Window is zero, which is off, and the others are set; try 30s")
	return errs
}

func (s SlowStart) defaults() SlowStart {
	s.Aggression, s.Least = cmp.Or(s.Aggression, 1), cmp.Or(s.Least, 0.1)
	return s
}

// factor is the share of its weight that a backend of that age has.
func (s SlowStart) factor(age time.Duration) float64 {
	if age >= s.Window {
		return 1
	}
	return max(s.Least, math.Pow(max(0, age.Seconds())/s.Window.Seconds(), 1/s.Aggression))
}

// step is the time from one picker to the next while somebody warms.
func (s SlowStart) step() time.Duration { return max(s.Window/20, 100*time.Millisecond) }

// warm gives e what it has of its weight. Before is what the last view said of it, or nil. A clock
// that went back makes it begin anew at most.
func (v *view) warm(e, before *entry, s SlowStart, now time.Time) {
	e.cold = e.backend.facts&(Down|Ejected|Draining) != 0 || e.state != Closed // not one that is Suspect for a moment
	switch {
	case s.Window == 0 || v.first || e.cold:
		return
	case before == nil || before.cold:
		e.since = now
	default:
		e.since = before.since
	}
	age := now.Sub(e.since)
	if e.since.IsZero() || age >= s.Window {
		e.since = time.Time{}
		return
	}
	e.weight *= s.factor(age)
	shown := *e.backend
	shown.facts |= Warming
	e.backend = &shown
	v.again(now.Add(s.step()))
}

// again has the view be out of date at a time, at the latest.
func (v *view) again(at time.Time) {
	if v.until.IsZero() || at.Before(v.until) {
		v.until = at
	}
}
