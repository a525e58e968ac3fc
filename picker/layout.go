package picker

import (
	"math"
	"math/bits"
)

// golden64 is 2^64 by the golden ratio, an odd number. Of all steps round a circle it spreads its
// points most evenly: of any so many in a row, an arc of a share p of the circle gets p of them, give
// or take a few (Kronecker's sequence; its discrepancy is O(log n / n)).
const golden64 = 0x9e3779b97f4a7c15

// layout is a circle on which each member has an arc by its weight.
type layout struct {
	made   int64    // when, in Unix nanoseconds
	ends   []uint64 // where the arcs end, the last at the circle's end
	guides []int32  // the member that has the beginning of each n-th of the circle
}

// newLayout gives every member an arc. Weights are not negative, and some are above zero.
func newLayout(weights []float64) *layout {
	n := len(weights)
	l := &layout{ends: make([]uint64, n), guides: make([]int32, n)}
	total := 0.0
	for _, w := range weights {
		total += w
	}
	so := 0.0
	for i, w := range weights {
		so += w
		l.ends[i] = math.MaxUint64
		if end := so / total * (1 << 63); end < 1<<63 {
			l.ends[i] = uint64(end) << 1
		}
	}
	l.ends[n-1] = math.MaxUint64
	i := 0
	for g := range l.guides {
		begin, _ := bits.Div64(uint64(g), 0, uint64(n))
		for i < n-1 && l.ends[i] <= begin {
			i++
		}
		l.guides[g] = int32(i)
	}
	return l
}

// at returns whose arc x is in. It takes two steps in the mean of all x, for any weights (Chen and
// Asau, 1974).
func (l *layout) at(x uint64) int {
	g, _ := bits.Mul64(x, uint64(len(l.guides)))
	i := int(l.guides[g])
	for i < len(l.ends)-1 && x >= l.ends[i] {
		i++
	}
	return i
}
