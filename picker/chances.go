package picker

import "sort"

// chances chooses among a few, each with a chance in proportion to its share. It is their running
// sums.
type chances []float64

func newChances(shares []float64) chances {
	s, total := make(chances, len(shares)), 0.0
	for i, share := range shares {
		total += share
		s[i] = total
	}
	return s
}

// at returns the index that x falls to, from 0 up to but not including 1. One that has no share
// is never returned, also for x 0: each begins where the one before it ends.
func (s chances) at(x float64) int {
	x *= s[len(s)-1] // below it, also after rounding
	return sort.Search(len(s)-1, func(i int) bool { return x < s[i] })
}
