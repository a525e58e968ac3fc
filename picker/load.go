package picker

import (
	"fmt"
	"math"

	"github.com/go-loadbalancer/lb"
)

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
	d, best := draws(info.Rand), lightest{}
	for i := range l {
		if c := &l[i]; !info.Tried(c.Backend) {
			best.weigh(c, &d)
		}
	}
	return best.backend
}

// lightest is who has the fewest requests in flight for its weight, of those weighed so far.
type lightest struct {
	backend      *lb.Backend
	load, weight float64
	tied         float64 // weight of all that have as few
}

func (l *lightest) weigh(c *lb.Candidate, d *draws) {
	load := float64(c.InFlight())
	mine, its := load*l.weight, l.load*c.Weight // load/weight on both sides, exact for whole weights
	switch {
	case l.backend == nil || mine < its:
		*l = lightest{c.Backend, load, c.Weight, c.Weight}
	case mine == its:
		l.tied += c.Weight
		if d.unit()*l.tied < c.Weight { // a reservoir of one: each of those tied so far keeps its share
			l.backend, l.load, l.weight = c.Backend, load, c.Weight
		}
	}
}

// LeastLoadedBias gives every backend a chance in proportion to weight / (in flight + 1)^bias, which
// is the weight by which Envoy's least request policy schedules hosts of unequal weights, with its
// active_request_bias. With bias 0 load does not matter, as in WeightedRandom; with 1, Envoy's
// default, a backend with three requests in flight has a quarter of its chance; the larger the
// bias, the more it is LeastLoaded. Unlike there, nobody is ever without any picks, and many
// balancers do not all send to the same idle backend at once.
//
// Envoy takes turns by these weights and, if all weights are equal, the better of two draws;
// here each pick is on its own, whatever the weights. Backends that were tried before are left out;
// if all were, the choice ends. A pick looks at every backend.
//
// It is an error if bias is negative, infinite or not a number.
func LeastLoadedBias(bias float64) (lb.Policy, error) {
	if !(bias >= 0) || math.IsInf(bias, 1) {
		return nil, fmt.Errorf("picker: bias %v is not a number from 0 up; 1 is Envoy's default, and LeastLoaded has no bound", bias)
	}
	return func(set lb.Set) lb.Picker { return biased{set.Eligible, bias} }, nil
}

type biased struct {
	members []lb.Candidate
	bias    float64
}

func (p biased) Pick(info lb.PickInfo) *lb.Backend {
	d, total := draws(info.Rand), 0.0
	var best *lb.Backend
	for i := range p.members {
		c := &p.members[i]
		if info.Tried(c.Backend) {
			continue
		}
		chance := c.Weight * discount(c.InFlight(), p.bias)
		total += chance
		if best == nil || d.unit()*total < chance { // a reservoir of one
			best = c.Backend
		}
	}
	return best
}

// discount is 1 / (in flight + 1)^bias.
func discount(inFlight int64, bias float64) float64 {
	n := float64(max(0, inFlight) + 1)
	switch bias {
	case 0:
		return 1
	case 1:
		return 1 / n
	}
	return math.Pow(n, -bias)
}
