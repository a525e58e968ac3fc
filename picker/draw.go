package picker

import (
	"math/bits"

	"github.com/go-loadbalancer/lb"
)

// draws makes as many draws as a pick needs of the one that comes with it. It is SplitMix64
// (Steele, Lea and Flood, 2014), seeded by PickInfo.Rand.
type draws uint64

func (d *draws) next() uint64 {
	*d += 0x9e3779b97f4a7c15
	return mix(uint64(*d))
}

// below returns a uniform number from 0 to n-1. Its bias is n/2^64 (Lemire, 2019).
func (d *draws) below(n int) int {
	hi, _ := bits.Mul64(d.next(), uint64(n))
	return int(hi)
}

// unit returns a uniform number from 0 up to but not including 1.
func (d *draws) unit() float64 { return float64(d.next()>>11) / (1 << 53) }

// two draws two different members, all pairs equally likely and in either order. One that was
// tried before gives way to the other, and a lone member is both.
func (d *draws) two(members []lb.Candidate, info lb.PickInfo) (a, b *lb.Candidate) {
	return d.pair(members, &info)
}

// pair is two without a copy of what it only reads. One draw is enough: what is left of it once
// the first index is known is as uniform (to n^2/2^64) as it was itself.
func (d *draws) pair(members []lb.Candidate, info *lb.PickInfo) (a, b *lb.Candidate) {
	n := uint64(len(members))
	if n == 1 {
		return &members[0], &members[0]
	}
	i, rest := bits.Mul64(d.next(), n)
	j, _ := bits.Mul64(rest, n-1)
	_, before := bits.Sub64(j, i, 0)
	j += 1 - before // one up from i on, without a branch that nobody can foretell
	a, b = &members[i], &members[j]
	switch {
	case info.Tried(a.Backend):
		return b, b
	case info.Tried(b.Backend):
		return a, a
	}
	return a, b
}

// distinct draws two different numbers below n, which is at least 2, all pairs equally likely.
func (d *draws) distinct(n int) (i, j int) {
	i, j = d.below(n), d.below(n-1)
	if j >= i {
		j++
	}
	return i, j
}

// mix is the finisher of SplitMix64: a bijection in which every bit depends on every other.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
