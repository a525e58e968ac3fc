package picker

import "github.com/go-loadbalancer/lb"

// LeastLoaded picks the backend with the fewest requests in flight for its weight. Of those that
// have equally few, each is as likely as its weight is large, so that idle backends share light
// traffic as they should. A newcomer is idle and gets the next picks until it has as much as the
// others. Backends that were tried before are left out; if all were, the choice ends.
//
// A pick looks at every backend: best up to some tens of them. With more of them, or several
// balancers in front of the same ones, PowerOfTwo costs less and does not send everybody to the
// same backend.
func LeastLoaded(set lb.Set) lb.Picker { return leastLoaded(set.Eligible) }

type leastLoaded []lb.Candidate

func (l leastLoaded) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	best, least, tied := lb.Candidate{}, 0.0, 0.0
	for _, c := range l {
		if info.Tried(c.Backend) {
			continue
		}
		load := float64(c.InFlight())
		mine, its := load*best.Weight, least*c.Weight // load/weight on both sides, exact for whole weights
		switch {
		case best.Backend == nil || mine < its:
			best, least, tied = c, load, c.Weight
		case mine == its:
			tied += c.Weight
			if d.unit()*tied < c.Weight { // a reservoir of one: each of those tied so far keeps its share
				best, least = c, load
			}
		}
	}
	return best.Backend
}

// PowerOfTwo draws two different backends, all pairs equally likely, and picks the one with fewer
// requests in flight for its weight. That is nearly as even as LeastLoaded (Mitzenmacher, 2001:
// the longest queue of n is ln ln n / ln 2 + O(1)), at a cost that does not depend on the number of
// backends. If both have equally few, each is as likely as its weight is large. With two
// backends it never picks the busier one. One that was tried before gives way to the other.
func PowerOfTwo(set lb.Set) lb.Picker { return powerOfTwo(set.Eligible) }

type powerOfTwo []lb.Candidate

func (p powerOfTwo) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	a, b := d.two(p, info)
	x, y := float64(a.InFlight())*b.Weight, float64(b.InFlight())*a.Weight
	if x < y || x == y && d.unit()*(a.Weight+b.Weight) < a.Weight {
		return a.Backend
	}
	return b.Backend
}
