package picker

import (
	"math/bits"
	"slices"
	"sort"
	"sync/atomic"

	"github.com/go-loadbalancer/lb"
)

// RoundRobin gives every backend a turn after the other, in the order of their IDs: of as many
// picks in a row as there are backends, also by many goroutines, each gets exactly one. The first
// pick draws where to start, so that many balancers do not all begin with the same backend.
// Weights are ignored. When backends come or go, it goes on where it was. A pick is one atomic
// addition for any number of backends; building takes time in their number.
func RoundRobin(set lb.Set) lb.Picker {
	for i := range set.Eligible {
		set.Eligible[i].Weight = 1
	}
	return rotate(set)
}

// rotation goes round a cycle of turns.
type rotation struct {
	turns []*lb.Backend // whose turn it is; nil for a turn of the rests'
	step  uint64        // by which turn grows: 2^64 / len(turns), rounded up
	turn  *turn
	rests *rests // nil if the cycle says it all

	// What follows is for the successor.
	members []lb.Candidate
	from    int       // who comes first of those that are owed the same
	order   []int32   // turns, as indexes of members; spare for the rests'
	owing   []float64 // what was owed to each beyond what the position in the cycle says; nil for nothing
}

// turn counts the picks of a rotation: it is the position in the cycle, in fractions of 2^64. So
// a pick needs no division, and one turn in 2^64/cycle is left out. Zero means that there was no
// pick. A rotation shares it with its successor over the same backends.
type turn struct {
	atomic.Uint64
	_ [120]byte // every pick writes it: it has its cache lines to itself
}

// rotate returns a rotation with the set's weights, which goes on where its previous picker was.
func rotate(set lb.Set) *rotation {
	old, ok := set.Previous.(*rotation)
	if ok && alike(old.members, set.Eligible) {
		next := *old
		next.members = set.Eligible
		next.point()
		if next.rests != nil {
			next.rests = next.rests.over(next.members)
		}
		return &next
	}
	r := &rotation{turn: new(turn), members: set.Eligible}
	share := plan(r.members)
	if ok {
		r.from = old.next(r.members)
	}
	r.order = interleave(share.turns, share.cycle, r.from)
	if share.rest != nil {
		r.rests = newRests(r.members, share.rest)
	}
	r.step = ^uint64(0)/uint64(len(r.order)) + 1
	r.point()
	if !ok {
		return r
	}
	if debt := old.owed(); debt != nil {
		r.owing = carry(old.members, debt, r.members)
		at := r.nearest(r.owing)
		r.turn.Store(r.before(at))
		for i, said := range r.debts(at) {
			r.owing[i] -= said
		}
	}
	return r
}

// point makes turns of the order, over the members as they are now.
func (r *rotation) point() {
	r.turns = make([]*lb.Backend, len(r.order))
	for t, i := range r.order {
		if i != spare {
			r.turns[t] = r.members[i].Backend
		}
	}
}

func (r *rotation) Pick(info lb.PickInfo) *lb.Backend {
	cycle := uint64(len(r.turns))
	if r.turn.Load() == 0 {
		first, _ := bits.Mul64(mix(info.Rand), cycle)
		r.turn.CompareAndSwap(0, r.before(int(first)))
	}
	at, _ := bits.Mul64(r.turn.Add(r.step), cycle)
	if b := r.turns[at]; b != nil {
		return b
	}
	return r.rests.next()
}

// next returns the index of the member that comes first, in a successor, of those that are owed the
// same: the one that comes after the last whom r picked, in the order of IDs, or the same as before
// if nobody has come or gone. If it were the first member, frequent changes would favour it: whoever
// comes back is owed nothing, so after each change there are ties.
func (r *rotation) next(members []lb.Candidate) int {
	at, begun := r.at()
	last := r.order[(at+len(r.order)-1)%len(r.order)]
	if !begun || last == spare || slices.EqualFunc(r.members, members, same) {
		return r.from % len(members)
	}
	i := sort.Search(len(members), func(i int) bool { return members[i].ID() > r.members[last].ID() })
	return i % len(members)
}

// before returns the turn after which the cycle is at a position. It is not zero.
func (r *rotation) before(at int) uint64 { return (uint64(at)-1)*r.step + 1 }

// at returns the position of the next pick, and whether there was one yet.
func (r *rotation) at() (int, bool) {
	n := r.turn.Load()
	at, _ := bits.Mul64(n+r.step, uint64(len(r.order)))
	return int(at), n != 0
}
