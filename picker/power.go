package picker

import (
	"fmt"
	"math"
	"slices"

	"github.com/go-loadbalancer/lb"
)

const (
	// scanned is up to how many backends for each draw PowerOfD looks at all: that costs no more
	// than the draws do (measured with three: a scan of six 65 ns, of ten 99, three draws 62), and
	// there is nobody whom it cannot see.
	scanned = 2
	// mostDraws bounds the draws of PowerOfD. Against 1000 backends at nine tenths of their
	// capacity, two draws wait 2.6 service times, three 2.0, and any number at least 1.
	mostDraws = 16
)

// PowerOfTwo draws two different backends, all pairs equally likely, and picks the one with fewer
// requests in flight for its weight. That is nearly as even as LeastLoaded (Mitzenmacher, 2001:
// the longest queue of n is ln ln n / ln 2 + O(1)), at a cost that does not depend on the number of
// backends. If both have equally few, each is as likely as its weight is large. With two
// backends it never picks the busier one. One that was tried before gives way to the other.
//
// Where as many as s of n backends are slow, s(s-1) of n(n-1) pairs have nobody but slow ones,
// however busy these are: with two of four, one pick in six. Where that matters, take PowerOfD or,
// with few backends, LeastLoaded.
func PowerOfTwo(set lb.Set) lb.Picker { return powerOfTwo(set.Eligible) }

type powerOfTwo []lb.Candidate

func (p powerOfTwo) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	a, b := d.two(p, info)
	// As numbers from 0 up compare as their bits do, the choice, which nobody can foretell, becomes
	// a conditional move instead of a branch.
	x, y := math.Float64bits(float64(a.InFlight())*b.Weight), math.Float64bits(float64(b.InFlight())*a.Weight)
	if x == y {
		x, y = math.Float64bits(d.unit()*(a.Weight+b.Weight)), math.Float64bits(a.Weight)
	}
	best, other := b.Backend, a.Backend
	if x < y {
		best = other
	}
	return best
}

// PowerOfD draws d different backends, all sets of d equally likely, and picks the one with the
// fewest requests in flight for its weight: with d = 2 as PowerOfTwo does. The longest queue of n
// is ln ln n / ln d + O(1) (Azar, Broder, Karlin and Upfal, 1999), so that most of the gain comes
// with the second draw; further ones help where many backends are slow, which a draw of slow ones
// only cannot avoid. Up to 2d backends are all looked at, as by LeastLoaded. If several have
// equally few, each is as likely as its weight is large. Those that were tried before give way to
// the others drawn; if all were, one of them is picked again. A pick costs d looks, or up to 2d, for any number of backends.
//
// It is an error if d is below 2 or above 16.
func PowerOfD(d int) (lb.Policy, error) {
	if d < 2 || d > mostDraws {
		return nil, fmt.Errorf("picker: %d draws are not between 2 and %d; try Random for one, LeastLoaded for all", d, mostDraws)
	}
	return func(set lb.Set) lb.Picker {
		if len(set.Eligible) <= scanned*d {
			return scan(set.Eligible)
		}
		return powerOfD{set.Eligible, d}
	}, nil
}

type powerOfD struct {
	members []lb.Candidate
	draws   int
}

func (p powerOfD) Pick(info lb.PickInfo) *lb.Backend {
	d, best := draws(info.Rand), lightest{}
	var drawn [mostDraws]int
	n := len(p.members)
	for k := range p.draws { // Floyd's way to draw a set (Bentley, 1987)
		i := d.below(n - p.draws + k + 1)
		if slices.Contains(drawn[:k], i) {
			i = n - p.draws + k
		}
		drawn[k] = i
		if c := &p.members[i]; !info.Tried(c.Backend) {
			best.weigh(c, &d)
		}
	}
	if best.backend == nil {
		return p.members[drawn[0]].Backend
	}
	return best.backend
}

// scan looks at all, as leastLoaded does, but does not end the choice when all were tried.
type scan []lb.Candidate

func (s scan) Pick(info lb.PickInfo) *lb.Backend {
	if b := leastLoaded(s).Pick(info); b != nil {
		return b
	}
	d := draws(info.Rand)
	return s[d.below(len(s))].Backend
}
