package picker

import (
	"sort"

	"github.com/go-loadbalancer/lb"
)

// Random gives every backend the same chance and looks at nothing else. The most loaded of n
// backends is about the square root of its requests ahead of the mean: PowerOfTwo is better
// wherever loads can be seen. A pick costs the same for any number of backends.
func Random(set lb.Set) lb.Picker { return random(set.Eligible) }

type random []lb.Candidate

func (r random) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	return r[d.below(len(r))].Backend
}

// WeightedRandom gives every backend a chance in proportion to its weight, each pick on its own.
// Weighted keeps to the proportions more closely. A pick costs the logarithm of the number of
// backends.
func WeightedRandom(set lb.Set) lb.Picker {
	w := &weightedRandom{members: set.Eligible, sums: make([]float64, len(set.Eligible))}
	for i, c := range w.members {
		w.total += c.Weight
		w.sums[i] = w.total
	}
	return w
}

type weightedRandom struct {
	members []lb.Candidate
	sums    []float64 // of the weights up to and including each member's
	total   float64
}

func (w *weightedRandom) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	x := d.unit() * w.total // below total, also after rounding
	return w.members[sort.Search(len(w.sums)-1, func(i int) bool { return x < w.sums[i] })].Backend
}
