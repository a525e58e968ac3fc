package picker

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// slots is a Maglev table. It never changes, and a picker shares it with its successors over the
// same backends.
type slots struct {
	*roster
	owners []int32 // whose each slot is, as indexes of the roster
}

// fill deals slots out as section 3.4 of the Maglev paper says: every backend prefers the slots
// in an order of its own, and takes the first in it that is free whenever it has a turn.
func fill(r *roster, size int) []int32 {
	owners := make([]int32, size)
	for i := range owners {
		owners[i] = -1
	}
	orders := preferences(r.seeds, size)
	for _, i := range turns(r.weights, quotas(r.weights, size)) {
		orders[i].take(owners, i)
	}
	return owners
}

// turns returns who has each turn, of as many for each as its quota is. They come in rounds: in
// round r of the heaviest, which has a weight of w, one with v has had r*v/w turns, rounded up, and
// in the last round whatever is left to it. Turns are sorted by rounds, in time in their number.
func turns(weights []float64, quotas []int) []int32 {
	rounds, heaviest := slices.Max(quotas), slices.Max(weights)
	round := func(i, had int) int { return int(min(float64(rounds-1), float64(had)*(heaviest/weights[i]))) }
	starts, total := make([]int, rounds+1), 0
	for i, n := range quotas {
		for had := range n {
			starts[round(i, had)+1]++
		}
		total += n
	}
	for r := range rounds {
		starts[r+1] += starts[r]
	}
	order := make([]int32, total)
	for i, n := range quotas {
		for had := range n {
			next := &starts[round(i, had)]
			order[*next] = int32(i)
			*next++
		}
	}
	return order
}

// quotas shares size slots out by weight: each gets its share rounded down or up. Up are those
// rounded that would have none, then those who would lose most, then the first.
func quotas(weights []float64, size int) []int {
	total := 0.0
	for _, w := range weights {
		total += w
	}
	quota, lost := make([]int, len(weights)), make([]float64, len(weights))
	order, left := make([]int, len(weights)), size
	for i, w := range weights {
		share := float64(size) * (w / total)
		quota[i], order[i] = int(share), i
		left -= quota[i]
		lost[i] = share - math.Floor(share)
		if quota[i] == 0 {
			lost[i]++
		}
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(lost[j], lost[i]) })
	for k := range left { // fewer than there are weights, up to rounding
		quota[order[k%len(order)]]++
	}
	return quota
}

// preference is an order of the slots: from one on by a stride, round and round.
type preference struct{ next, stride, size int }

// preferences draws one for each seed.
func preferences(seeds []uint64, size int) []preference {
	orders := make([]preference, len(seeds))
	for i, s := range seeds {
		d := draws(s)
		orders[i] = preference{next: d.below(size), stride: 1 + d.below(size-1), size: size}
	}
	return orders
}

// take gives the first free slot in the order to an owner. One must be free.
func (p *preference) take(owners []int32, owner int32) {
	for range owners {
		at := p.next
		if p.next += p.stride; p.next >= p.size {
			p.next -= p.size
		}
		if owners[at] < 0 {
			owners[at] = owner
			return
		}
	}
}

// prime tells by trial division.
func prime(n int) bool {
	if n < 2 {
		return false
	}
	for d := 2; d <= n/d; d++ {
		if n%d == 0 {
			return false
		}
	}
	return true
}

// primesAround names the primes next to n, which is at most largest.
func primesAround(n int) string {
	below, above := n, max(n, 2)
	for below > 1 && !prime(below) {
		below--
	}
	for !prime(above) {
		above++
	}
	if below < 2 {
		return fmt.Sprint(above)
	}
	return fmt.Sprintf("%d and %d", below, above)
}
