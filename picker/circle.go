package picker

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// maxPoints bounds the points on a ring.
const maxPoints = 1 << 20

// circle is a ring's points. It never changes, and a picker shares it with its successors over the
// same backends.
type circle struct {
	*roster
	perWeight int
	points    []point // sorted
	starts    []int32 // of each part of the circle that is as long as all others: its first point, or the next
	shift     int     // a position's part is what is left of it when it is shifted right by this
}

// point is one of a backend's points.
type point struct {
	at    uint64
	owner int32 // as an index of the roster
}

// newCircle sorts points by the parts of the circle that they lie in. There are about as many parts
// as points, so each has few.
func newCircle(r *roster, perWeight int) *circle {
	counts, total := pointsOf(r.weights, perWeight)
	width := bits.Len(uint(total - 1))
	c := &circle{roster: r, perWeight: perWeight, points: make([]point, total), shift: 64 - width}
	ends := make([]int32, 1<<width+1) // of the parts, in order, behind a zero
	each(r.seeds, counts, func(p point) { ends[p.at>>c.shift+1]++ })
	for i := range ends[1:] {
		ends[i+1] += ends[i]
	}
	c.starts = slices.Clone(ends[:1<<width])
	each(r.seeds, counts, func(p point) {
		next := &ends[p.at>>c.shift]
		c.points[*next] = p
		*next++
	})
	for i, from := range c.starts {
		slices.SortFunc(c.points[from:ends[i]], func(a, b point) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.owner, b.owner))
		})
	}
	return c
}

// each calls f for as many points of each seed as counts say. Of a lower count they are the first
// of those of a higher.
func each(seeds []uint64, counts []int, f func(point)) {
	for i, s := range seeds {
		d := draws(s)
		for range counts[i] {
			f(point{at: d.next(), owner: int32(i)})
		}
	}
}

// pointsOf returns how many points each weight has, and their sum.
func pointsOf(weights []float64, perWeight int) (counts []int, total int) {
	counts = make([]int, len(weights))
	most := max(maxPoints, len(weights))
	total = most + 1
	for scale := float64(perWeight); total > most; scale /= 2 { // at the latest when each has one
		total = 0
		for i, w := range weights {
			counts[i] = int(max(1, min(math.Round(scale*w), float64(most))))
			total = min(total+counts[i], most+1)
		}
	}
	return counts, total
}

// from returns the index of the first point at or behind a position. It may be that of none, behind
// the last.
func (c *circle) from(position uint64) int {
	i := int(c.starts[position>>c.shift])
	for i < len(c.points) && c.points[i].at < position {
		i++
	}
	return i
}
