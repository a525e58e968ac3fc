package picker

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/go-loadbalancer/lb"
)

const (
	// narrowest is Finagle's minimum of backends in an aperture.
	narrowest = 12
	// mostBalancers keeps products with the number of backends far from overflow.
	mostBalancers = 1_000_000
)

// ApertureConfig says how many balancers share the backends, and which of them this one is.
type ApertureConfig struct {
	// Inner picks from the aperture. It is required.
	Inner lb.Policy
	// Balancers is how many balancers there are, at most 1,000,000. It is required, and must be
	// the same for all of them.
	Balancers int
	// Index is this balancer's number, from 0 to Balancers-1. No two may have the same.
	Index int
	// Size is the least number of backends that a balancer uses, if there are as many. Zero
	// means 12.
	Size int
}

// Aperture uses inner on a few of the backends only, such that all backends are used by equally
// many balancers. For what subsets are good for, see Subset, which needs no numbers. It is an
// error if a field is wrong.
//
//	policy, err := picker.Aperture(picker.ApertureConfig{Balancers: 300, Index: 17, Inner: picker.PowerOfTwo})
//
// It is Finagle's deterministic aperture. The backends, in an order that all balancers agree on, share
// a ring equally, and so do the balancers. Each balancer has an arc that begins at its own place and
// is the least number of balancers' shares that holds Size backends; it uses the backends whose share
// overlaps that arc. The Weight that the inner policy is given is scaled by how much of a backend's
// share does, so that every point of the ring counts as often: with an inner policy that keeps to
// weights, as Weighted and WeightedRandom do, and balancers with equally much to do, all backends of
// equal weight get exactly the same. With PowerOfTwo they nearly do: within a few per cent under load,
// and within a fifth while most backends are idle and it does not matter.
//
// The arcs are laid over all known backends: marking one down moves nobody, and its load goes to
// the others in the arcs that have it. If none in the arc is eligible, the inner policy picks
// from all that are. A backend that comes or goes moves the ends of all arcs a little: at most two
// entries of each change, and, where another balancer's share is needed to hold Size of them, as many
// more as that has. Other numbers of balancers move all arcs, so have all balancers learn of
// them soon.
//
// A request that has tried the whole aperture goes to any other eligible backend. Sorting costs
// n log n when the set of backends changes; a pick costs what the inner picker's does, in the size
// of the aperture.
func Aperture(cfg ApertureConfig) (lb.Policy, error) {
	var errs []error
	fault := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("picker: ApertureConfig."+format, args...))
	}
	if cfg.Inner == nil {
		fault("Inner is nil; try picker.PowerOfTwo")
	}
	if cfg.Balancers < 1 || cfg.Balancers > mostBalancers {
		fault("Balancers is %d; say how many there are, from 1 to %d", cfg.Balancers, mostBalancers)
	} else if cfg.Index < 0 || cfg.Index >= cfg.Balancers {
		fault("Index is %d; number the %d balancers from 0 to %d", cfg.Index, cfg.Balancers, cfg.Balancers-1)
	}
	if cfg.Size < 0 {
		fault("Size is %d, an empty aperture; give 1 or more, or 0 for %d", cfg.Size, narrowest)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	a := arc{index: int64(cfg.Index), of: int64(cfg.Balancers), least: int64(cmp.Or(cfg.Size, narrowest))}
	return func(set lb.Set) lb.Picker { return newSubset(set, a.choose(set), cfg.Inner) }, nil
}

// arc is a balancer's part of the ring.
type arc struct {
	index, of int64
	least     int64 // backends in it
}

// choose returns the backends in the arc, with their weights scaled, or all if none of them is
// eligible.
func (a arc) choose(set lb.Set) (chosen lb.Set) {
	ring := ordered(set, 0)
	first, parts := a.overlap(int64(len(ring)))
	for i, part := range parts {
		at := ring[(first+int64(i))%int64(len(ring))].at
		if i := at - len(set.Eligible); i >= 0 {
			chosen.Others = append(chosen.Others, set.Others[i])
			continue
		}
		c := set.Eligible[at]
		c.Weight *= part
		chosen.Eligible = append(chosen.Eligible, c)
	}
	if len(chosen.Eligible) == 0 {
		chosen.Eligible, chosen.Others = slices.Clone(set.Eligible), slices.Clone(set.Others)
	}
	return chosen
}

// overlap returns how much of each backend's share of the ring is in the arc, from 0 to 1, for n
// backends, beginning with the first that is. It reckons in whole numbers: the ring is n x a.of
// long, so that a backend's share is a.of, and a balancer's is n.
func (a arc) overlap(n int64) (first int64, parts []float64) {
	shares := (min(a.least, n)*a.of + n - 1) / n // of balancers, rounded up; at most all
	from, to := a.index*n, (a.index+shares)*n
	first, last := from/a.of, (to-1)/a.of
	parts = make([]float64, min(n, last-first+1))
	for i := first; i <= last; i++ { // the last may be the first again
		parts[(i-first)%n] += float64(min(to, (i+1)*a.of)-max(from, i*a.of)) / float64(a.of)
	}
	return first, parts
}
