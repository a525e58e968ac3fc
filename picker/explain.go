package picker

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Explain scores each backend by its requests in flight for its weight.
func (l leastLoaded) Explain(info lb.PickInfo) []lb.Score { return byLoad(l, info) }

// Explain scores each backend by its requests in flight for its weight. Which two are compared is
// left to the draw.
func (p powerOfTwo) Explain(info lb.PickInfo) []lb.Score { return byLoad(p, info) }

// Explain scores each backend by its requests in flight for its weight. Which ones are compared is
// left to the draw.
func (p powerOfD) Explain(info lb.PickInfo) []lb.Score { return byLoad(p.members, info) }

// Explain scores each backend by its requests in flight for its weight.
func (s scan) Explain(info lb.PickInfo) []lb.Score { return byLoad(s, info) }

// Explain scores each backend by what a request costs on it. Which two are compared is left to the
// draw.
func (p peakEWMA) Explain(info lb.PickInfo) []lb.Score { return byCost(p, info, shunned) }

// Explain scores each backend by what a request costs on it. Which two are compared is left to the
// draw.
func (p adaptive) Explain(info lb.PickInfo) []lb.Score { return byCost(p, info, penalised) }

// Explain scores each backend by how many turns of others come before its next. One that has but
// a share of the spare turns comes after all that have their own.
func (r *rotation) Explain(info lb.PickInfo) []lb.Score {
	cycle := len(r.order)
	next, begun := r.at()
	if !begun {
		first, _ := bits.Mul64(mix(info.Rand), uint64(cycle))
		next = int(first)
	}
	scores := make([]lb.Score, len(r.members))
	for i, c := range r.members {
		scores[i] = lb.Score{Backend: c.Backend, Score: float64(cycle), Why: "it has a share of the spare turns"}
	}
	for n := cycle - 1; n >= 0; n-- {
		if i := r.order[(next+n)%cycle]; i != spare {
			scores[i].Score, scores[i].Why = float64(n), fmt.Sprintf("%d turns come before its own", n)
		}
	}
	slices.SortFunc(scores, lower)
	return scores
}

// Explain asks the picker that would choose. It returns nil if that one does not explain itself.
func (t *tiers) Explain(info lb.PickInfo) []lb.Score { return ask(info, t.parts[t.of(info)], t.all) }

// Explain asks the picker of the tier that would choose. It returns nil if that one does not
// explain itself.
func (p *priority) Explain(info lb.PickInfo) []lb.Score {
	first, info := p.draw(info)
	return ask(info, append(append(p.tiers[first:len(p.tiers):len(p.tiers)], p.tiers[:first]...), p.tiers[first])...)
}

// Explain asks the picker of the zone that would choose, or of all. It returns nil if that one does
// not explain itself.
func (z *zones) Explain(info lb.PickInfo) []lb.Score {
	if z.chances == nil {
		return ask(info, z.all)
	}
	at, info := z.draw(info)
	return ask(info, z.order[at], z.all)
}

// Explain asks the picker over the subset. It returns nil if that one does not explain itself, or
// all of the subset were tried and the draw decides.
func (s *subset) Explain(info lb.PickInfo) []lb.Score {
	if len(s.rest) > 0 && s.spent(info) {
		return nil
	}
	return ask(info, s.group)
}

// ask has the picker explain itself of the first group that has somebody left, or of the last.
func ask(info lb.PickInfo, gs ...*group) []lb.Score {
	for i, g := range gs {
		if i < len(gs)-1 && (g == nil || g.picker == nil || g.spent(info)) {
			continue
		}
		if p, ok := g.picker.(interface {
			Explain(lb.PickInfo) []lb.Score
		}); ok {
			return p.Explain(info)
		}
		break
	}
	return nil
}

func byLoad(members []lb.Candidate, info lb.PickInfo) []lb.Score {
	return explain(members, info, func(_ int, c lb.Candidate) (float64, string) {
		n := c.InFlight()
		return float64(n) / c.Weight, fmt.Sprintf("%d in flight for weight %g", n, c.Weight)
	})
}

// byCost compares a backend that never answered with the slowest of the others.
func byCost(members []lb.Candidate, info lb.PickInfo, penalty func(float64) float64) []lb.Score {
	slowest := time.Duration(0)
	for _, c := range members {
		slowest = max(slowest, seen(c.Backend, info.Now).Latency)
	}
	return explain(members, info, func(_ int, c lb.Candidate) (float64, string) {
		l := seen(c.Backend, info.Now)
		why := fmt.Sprintf("%v to answer, %d in flight, %.1f%% errors, weight %g",
			l.Latency.Round(time.Microsecond), l.InFlight, 100*l.ErrorRate, c.Weight)
		if l.Latency == 0 {
			why = fmt.Sprintf("never answered, %d in flight, %.1f%% errors, weight %g", l.InFlight, 100*l.ErrorRate, c.Weight)
		}
		return cost(l, slowest) * penalty(l.ErrorRate) / c.Weight, why
	})
}

// explain sorts what score says of each member. Those that were tried come last.
func explain(members []lb.Candidate, info lb.PickInfo, score func(int, lb.Candidate) (float64, string)) []lb.Score {
	scores := make([]lb.Score, len(members))
	for i, c := range members {
		s := lb.Score{Backend: c.Backend, Score: math.MaxFloat64, Why: "was tried before"}
		if !info.Tried(c.Backend) {
			s.Score, s.Why = score(i, c)
		}
		scores[i] = s
	}
	slices.SortFunc(scores, lower)
	return scores
}

func lower(a, b lb.Score) int {
	return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Backend.ID(), b.Backend.ID()))
}
