package autoscale

import "time"

// patient makes a plan of a PlanFunc that may change its mind in every interval: up goes at once,
// down by one after a cooldown.
type patient struct {
	ask      PlanFunc
	min, max int
	cooldown time.Duration
	low      time.Time // since when less was wanted in every interval, and nothing moved
}

func (p patient) Next(l Load) (Plan, int) {
	want := min(max(p.ask(l), p.min), p.max)
	if p.low.Before(l.Moved) {
		p.low = l.Moved
	}
	switch {
	case want > l.Backends:
		p.low = l.Now
		return p, want
	case want == l.Backends, l.troubled(), l.Interval == 0:
		p.low = l.Now
		return p, l.Backends
	case l.Now.Sub(p.low) < p.cooldown:
		return p, l.Backends
	}
	p.low = l.Now
	return p, l.Backends - 1
}

// bounded keeps what a plan wants within bounds.
type bounded struct {
	Plan
	min, max int
}

func (b bounded) Next(l Load) (Plan, int) {
	next, want := b.Plan.Next(l)
	b.Plan = next
	return b, min(max(want, b.min), b.max)
}
