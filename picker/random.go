package picker

import (
	"math/bits"

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
// Weighted keeps to the proportions more closely. It is the alias method (Walker, 1977; Vose, 1991):
// a pick is one draw and one look at a table for any number of backends, and building the table
// takes time in their number.
func WeightedRandom(set lb.Set) lb.Picker { return newAlias(set.Eligible) }

// alias has a column for each member, all equally likely.
type alias []column

// column is shared by at most two members.
type column struct {
	own, other *lb.Backend
	keep       uint64 // own's part, of 2^64
}

// newAlias fills the columns of those that have less than the mean up with what the others have
// more.
func newAlias(members []lb.Candidate) alias {
	columns, left := make(alias, len(members)), make([]float64, len(members))
	poor, rich := make([]int, 0, len(members)), make([]int, 0, len(members))
	mean := sum(members) / float64(len(members))
	for i, c := range members {
		columns[i] = column{own: c.Backend, other: c.Backend}
		if left[i] = c.Weight / mean; left[i] < 1 {
			poor = append(poor, i)
			continue
		}
		rich = append(rich, i)
	}
	for len(poor) > 0 && len(rich) > 0 {
		p, r := poor[len(poor)-1], rich[len(rich)-1]
		columns[p].other, columns[p].keep = members[r].Backend, uint64(left[p]*(1<<32)*(1<<32))
		poor = poor[:len(poor)-1]
		if left[r] -= 1 - left[p]; left[r] < 1 {
			poor, rich = append(poor, r), rich[:len(rich)-1]
		}
	}
	return columns // who remains has a column to itself, but for rounding
}

func (a alias) Pick(info lb.PickInfo) *lb.Backend {
	d := draws(info.Rand)
	i, within := bits.Mul64(d.next(), uint64(len(a)))
	if c := &a[i]; within < c.keep {
		return c.own
	}
	return a[i].other
}
