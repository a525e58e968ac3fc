package picker

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// strides is how far a walk through a table goes before the rest is ranked by rendezvous, which
// keeps to the same: a key's order depends on nobody's state. With one backend of ten that can serve,
// one walk of 850 goes as far.
const strides = 64

// roster is what a table is made from: all backends of a set, eligible or not, sorted by ID. It
// holds no backend, for the table outlives them.
type roster struct {
	ids     []string
	weights []float64
	seeds   []uint64 // hashes of the IDs
}

// enrol lists a set's backends. One that is not eligible keeps the weight it had in the roster
// before, else it has its configured one. Of members[i], which is roster's i, only those that are
// eligible have a backend.
func enrol(set lb.Set, before *roster) (r *roster, members []lb.Candidate) {
	all := make([]lb.Candidate, 0, len(set.Eligible)+len(set.Others))
	all = append(all, set.Eligible...)
	for _, b := range set.Others {
		all = append(all, lb.Candidate{Backend: b}) // a weight of zero: not eligible
	}
	slices.SortFunc(all, func(a, b lb.Candidate) int { return cmp.Compare(a.ID(), b.ID()) })
	r = &roster{make([]string, len(all)), make([]float64, len(all)), make([]uint64, len(all))}
	for i, c := range all {
		r.ids[i], r.weights[i] = c.ID(), c.Weight
		if c.Weight == 0 {
			r.weights[i] = before.weight(c.Backend)
			all[i].Backend = nil
		}
		r.seeds[i] = xxhash.Sum64String(c.ID())
	}
	return r, all
}

// weight returns what r says of a backend, or else what b itself does.
func (r *roster) weight(b *lb.Backend) float64 {
	if r != nil {
		if i, ok := slices.BinarySearch(r.ids, b.ID()); ok {
			return r.weights[i]
		}
	}
	return float64(b.Weight())
}

// same reports whether a table made from old is one made from r.
func (r *roster) same(old *roster) bool {
	return old != nil && slices.Equal(r.ids, old.ids) && slices.Equal(r.weights, old.weights)
}
