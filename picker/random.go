package picker

import (
	"sort"

	"github.com/go-loadbalancer/lb"
)

// Random gives every backend the same chance and looks at nothing else. After m picks the first
// of n backends is about sqrt(2 (m/n) ln n) ahead of the mean (Raab and Steger, 1998), and it grows:
// PowerOfTwo is better wherever loads can be seen. A pick costs the same for any number of
// backends.
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
