package picker

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/go-loadbalancer/lb"
)

// BoundedLoad keeps what inner likes best from being flooded: no request goes to a backend that
// would then have more than c times the mean in flight (Mirrokni, Thorup and Zadimoghaddam, 2018).
// Precisely, with m requests in flight on n backends, one more may make it ceil(c (m+1) w/W) on a
// backend of weight w, where W is the sum of all weights, or ceil(c (m+1) / n) for equal ones. A
// backend at its bound is passed over, and the request goes to the next in its key's order that is
// not; as c is at least 1, there is one.
//
//	picker.BoundedLoad(1.25, lb.Must(picker.Maglev(picker.MaglevConfig{})))
//
// C must be at least 1: 1.25 is usual, 2 moves few requests, and 1 makes every load the mean,
// rounded up, at the price of most affinity. While loads are small the bound is, too: with
// nothing in flight it is one request for anybody, and a key whose backend has one goes elsewhere.
//
// Backends tried before count as gone: for a retry, m, n and W are those of the others. Backends
// that are not eligible do not count at all.
//
// Requests in flight are read as they are at the pick, and are the balancer's own: other
// balancers' are not known. The balancer counts a request after its pick. So the bound is exact for
// picks one after the other; k goroutines that pick at the same time may go past it together, by
// k-1 requests and by what m changed while they added it up. If meanwhile all fill up to a bound
// that was true a moment ago, a request goes to the backend with the fewest in flight for its
// weight. Spec.MaxInFlight is exact in any case. As requests end, m falls and with it the bound,
// which a backend that has many may then exceed: nothing moves what is in flight, and it gets no
// more until it is below.
//
// Rendezvous, Maglev, Ring, HashClient, HashHeader and HashCookie are walked in their order,
// without allocation. Any other policy is asked, and if its choice is at its bound, once more, as if
// all that are had been tried; that pick allocates. If it insists, or then has nobody, the request
// goes to the backend with the fewest in flight for its weight. So any inner holds the bound, but
// only one that heeds what was tried keeps an order. Policies that spread load themselves gain
// nothing. An inner that refuses at once is heeded.
//
// BoundedLoad looks at every backend for each pick. A c that is below 1, infinite or no number, and
// a nil inner, are errors.
func BoundedLoad(c float64, inner lb.Policy) (lb.Policy, error) {
	var errs []error
	if !(c >= 1) || math.IsInf(c, 1) { // nor NaN
		errs = append(errs, fmt.Errorf("picker: BoundedLoad has c %v; want a number from 1 on, such as 1.25", c))
	}
	if inner == nil {
		errs = append(errs, errors.New("picker: BoundedLoad has a nil inner policy; try picker.HashClient"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return func(set lb.Set) lb.Picker { return newBounded(set, c, inner) }, nil
}

type bounded struct {
	members []lb.Candidate
	c       float64
	inner   lb.Picker                         // nil refuses
	ranking ranking                           // inner, if it is one; else nil
	learner interface{ Attempted(lb.Result) } // inner, if it learns; else nil
}

func newBounded(set lb.Set, c float64, inner lb.Policy) *bounded {
	if old, ok := set.Previous.(*bounded); ok {
		set.Previous = old.inner
	}
	b := &bounded{members: slices.Clone(set.Eligible), c: c} // inner may edit its own
	b.inner = inner(set)
	b.ranking, _ = b.inner.(ranking)
	b.learner, _ = b.inner.(interface{ Attempted(lb.Result) })
	return b
}

func (b *bounded) Pick(info lb.PickInfo) *lb.Backend {
	l := b.measure(&info)
	switch {
	case b.ranking != nil:
		if choice := b.ranking.pickWithin(info, l); choice != nil {
			return choice
		}
		return b.idlest(&info) // if others have filled all up since they were counted
	case b.inner == nil:
		return nil
	}
	return b.ask(info, l)
}

// Attempted tells inner.
func (b *bounded) Attempted(res lb.Result) {
	if b.learner != nil {
		b.learner.Attempted(res)
	}
}

// measure counts what is in flight on all that were not tried, and sets the limit by it.
func (b *bounded) measure(info *lb.PickInfo) limit {
	inFlight, total := int64(0), 0.0
	for i := range b.members {
		if c := &b.members[i]; !info.Tried(c.Backend) {
			inFlight += c.InFlight()
			total += c.Weight
		}
	}
	return limit{most: b.c * float64(inFlight+1), total: total}
}

// ask asks a picker that has no order which could be walked.
func (b *bounded) ask(info lb.PickInfo, l limit) *lb.Backend {
	choice := b.inner.Pick(info)
	if choice == nil || b.below(choice, l) {
		return choice
	}
	var over []*lb.Backend
	for i := range b.members {
		if c := &b.members[i]; !l.admits(c) {
			over = append(over, c.Backend)
		}
	}
	if next := b.inner.Pick(info.WithTried(over...)); next != nil && b.below(next, l) && !info.Tried(next) {
		return next
	}
	return b.idlest(&info)
}

// idlest returns the backend with the fewest requests in flight for its weight, of those that were
// not tried, or nil if all were. Nobody is further below the bound.
func (b *bounded) idlest(info *lb.PickInfo) *lb.Backend {
	var best lb.Candidate
	least := 0.0
	for _, c := range b.members {
		load := float64(c.InFlight())
		if !info.Tried(c.Backend) && (best.Backend == nil || load*best.Weight < least*c.Weight) {
			best, least = c, load
		}
	}
	return best.Backend
}

// below reports whether the limit admits a backend.
func (b *bounded) below(be *lb.Backend, l limit) bool {
	for i := range b.members {
		if c := &b.members[i]; c.Backend == be {
			return l.admits(c)
		}
	}
	return false
}
