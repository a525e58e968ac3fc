package picker

import (
	"slices"
	"sort"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
)

// longest bounds the turns in a cycle of Weighted that are laid out beforehand. Laying them out
// takes time in their number times the number of backends: some milliseconds for 4096 x 1000.
const longest = 4096

// RoundRobin gives every backend a turn after the other, in the order of their IDs: of as many
// picks in a row as there are backends, also by many goroutines, each gets exactly one. The first
// pick draws where to start, so that many balancers do not all begin with the same backend.
// Weights are ignored. When backends come or go, it goes on where it was. A pick is one atomic
// addition for any number of backends.
func RoundRobin(set lb.Set) lb.Picker {
	for i := range set.Eligible {
		set.Eligible[i].Weight = 1
	}
	return rotate(set, len(set.Eligible))
}

// rotation goes round a cycle of turns.
type rotation struct {
	members []lb.Candidate
	from    int       // who comes first of those that are owed the same
	order   []int32   // whose turn it is, as indexes of members
	rest    []float64 // what was owed to each beyond what a position in the cycle says; nil for nothing
	turn    *turn
}

// turn counts the picks of a rotation, from a start that is not zero. Zero means that there was
// none. A rotation shares it with its successor over the same backends.
type turn struct {
	atomic.Uint64
	_ [120]byte // every pick writes it: it has its cache lines to itself
}

// rotate returns a rotation with a cycle of that many turns, which goes on where the set's
// previous picker was.
func rotate(set lb.Set, cycle int) *rotation {
	r := &rotation{members: set.Eligible, turn: new(turn)}
	if old, ok := set.Previous.(*rotation); ok && alike(old.members, r.members) {
		r.from, r.order, r.rest, r.turn = old.from, old.order, old.rest, old.turn
		return r
	}
	r.from = next(set.Previous, r.members)
	r.order = interleave(r.members, cycle, r.from)
	if debt := inherit(set.Previous, r.members); debt != nil {
		at := r.nearest(debt)
		r.turn.Store(uint64(cycle - 1 + at))
		r.rest = debt
		for i, said := range r.debts(at) {
			r.rest[i] -= said
		}
	}
	return r
}

func (r *rotation) Pick(info lb.PickInfo) *lb.Backend {
	cycle := uint64(len(r.order))
	if r.turn.Load() == 0 {
		r.turn.CompareAndSwap(0, cycle-1+info.Rand%cycle)
	}
	return r.members[r.order[r.turn.Add(1)%cycle]].Backend
}

// interleave lays a cycle of turns out as nginx does it: in each turn every member earns its
// weight, and the richest gets the turn and pays the total. After a cycle all are where they
// began, so any stretch of that length has each member as often as its weight says. The richest
// of n has at least the mean, total/n, before it pays: so since the cycle's start nobody is ever
// more than 1-1/n turns ahead of its share. Of those that are equally rich the turn is for the first
// from the given one on.
func interleave(members []lb.Candidate, cycle, from int) []int32 {
	order := make([]int32, cycle)
	total, credit := sum(members), make([]float64, len(members))
	for t := range order {
		if cycle == len(members) { // equal weights
			order[t] = int32((from + t) % cycle)
			continue
		}
		order[t] = int32(serve(members, credit, total, from))
	}
	return order
}

// serve gives one turn and returns the index of the member that got it. It is exact for whole
// weights.
func serve(members []lb.Candidate, credit []float64, total float64, from int) int {
	richest := from
	for k := range members {
		i := from + k
		if i >= len(members) {
			i -= len(members)
		}
		credit[i] += members[i].Weight
		if credit[i] > credit[richest] {
			richest = i
		}
	}
	credit[richest] -= total
	return richest
}

// next returns the index of the member that comes first of those that are owed the same: the one
// that comes after the last whom a predecessor picked, in the order of IDs, or the same as before if
// nobody has come or gone. If it were the first member, frequent changes would favour it: whoever
// comes back is owed nothing, so after each change there are ties.
func next(previous lb.Picker, members []lb.Candidate) int {
	p, ok := previous.(interface {
		standing() (members []lb.Candidate, from, last int)
	})
	if !ok {
		return 0
	}
	old, from, last := p.standing()
	if slices.EqualFunc(old, members, func(a, b lb.Candidate) bool { return a.ID() == b.ID() }) {
		return from
	}
	i := sort.Search(len(members), func(i int) bool { return members[i].ID() > old[last].ID() })
	return i % len(members)
}

// standing returns the members, who comes first of those that are owed the same, and who had the
// last turn.
func (r *rotation) standing() (members []lb.Candidate, from, last int) {
	return r.members, r.from, int(r.order[r.turn.Load()%uint64(len(r.order))])
}

// owed returns how many turns r is behind with each backend, or nil if there was none yet.
func (r *rotation) owed() map[string]float64 {
	n := r.turn.Load()
	if n == 0 {
		return nil
	}
	debt := make(map[string]float64, len(r.members))
	for i, d := range r.debts(int((n + 1) % uint64(len(r.order)))) {
		if r.rest != nil {
			d += r.rest[i]
		}
		debt[r.members[i].ID()] = d
	}
	return debt
}

// debts returns each member's share of the first n turns of a cycle, less those it gets.
func (r *rotation) debts(n int) []float64 {
	debt, total := make([]float64, len(r.members)), sum(r.members)
	for i, c := range r.members {
		debt[i] = float64(n) * c.Weight / total
	}
	for _, i := range r.order[:n] {
		debt[i]--
	}
	return debt
}

// nearest returns the position in r's cycle where what it owes comes closest to a debt, by the
// sum of squares. It takes time in the length of the cycle.
func (r *rotation) nearest(debt []float64) int {
	share, gap := make([]float64, len(r.members)), make([]float64, len(r.members))
	total := sum(r.members)
	slope, curve := 0.0, 0.0 // of the distance: sums of share x gap and of share squared
	for i, c := range r.members {
		share[i], gap[i] = c.Weight/total, -debt[i]
		slope += share[i] * gap[i]
		curve += share[i] * share[i]
	}
	at, distance, least := 0, 0.0, 0.0 // from the distance at position 0
	for t, i := range r.order[:len(r.order)-1] {
		// All gaps grow by their share, then the one whose turn it was shrinks by one.
		distance += 2*slope + curve - 2*(gap[i]+float64(t+1)*share[i]) + 1
		slope += curve - share[i]
		gap[i]--
		if distance < least-1e-9 {
			at, least = t+1, distance
		}
	}
	return at
}

// inherit returns how many turns a predecessor was behind with each member, or nil if it has had
// no turn or does not count them. What it owed to those who left is spread over all by weight.
func inherit(previous lb.Picker, members []lb.Candidate) []float64 {
	p, ok := previous.(interface{ owed() map[string]float64 })
	if !ok {
		return nil
	}
	owed := p.owed()
	if owed == nil {
		return nil
	}
	debt, surplus := make([]float64, len(members)), 0.0
	for i, c := range members {
		debt[i] = owed[c.ID()]
		surplus += debt[i]
	}
	total := sum(members)
	for i, c := range members {
		debt[i] -= surplus * c.Weight / total
	}
	return debt
}

// alike reports whether both are the same backends with the same weights.
func alike(a, b []lb.Candidate) bool {
	return slices.EqualFunc(a, b, func(a, b lb.Candidate) bool { return a.ID() == b.ID() && a.Weight == b.Weight })
}

func sum(members []lb.Candidate) (total float64) {
	for _, c := range members {
		total += c.Weight
	}
	return total
}

// period returns how many turns a cycle has in which all weights come out, or 0 if that is more
// than longest, or some weight is not whole and not all are equal.
func period(members []lb.Candidate) int {
	if !slices.ContainsFunc(members, func(c lb.Candidate) bool { return c.Weight != members[0].Weight }) {
		return len(members)
	}
	total, divisor := 0, 0
	for _, c := range members {
		w := int(c.Weight)
		if float64(w) != c.Weight {
			return 0
		}
		total += w
		for divisor, w = w, divisor; w != 0; { // Euclid
			divisor, w = w, divisor%w
		}
	}
	if total/divisor > longest {
		return 0
	}
	return total / divisor
}
