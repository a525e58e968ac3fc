package picker

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/cespare/xxhash/v2"
	"github.com/go-loadbalancer/lb"
)

// subsetSize is gRFC A68's default.
const subsetSize = 20

// SubsetConfig says how many backends a balancer uses, and which.
type SubsetConfig struct {
	// Inner picks from the subset. It is required.
	Inner lb.Policy
	// Size is how many backends the subset has, if there are as many. Zero means 20.
	Size int
	// Salt tells this balancer from the others that share the backends: its host's name, say.
	// Balancers with the same salt choose the same subset, and one that keeps its salt returns to
	// its subset after a restart. An empty one is drawn when the policy is made.
	Salt string
}

// Subset uses inner on a few of the backends only, which each balancer chooses for itself: with
// hundreds of balancers and thousands of backends, connections from all to all cost more than
// they bring. It is an error if a field is wrong.
//
//	policy, err := picker.Subset(picker.SubsetConfig{Size: 20, Inner: picker.PowerOfTwo})
//
// The subset is gRFC A68's: the salt ranks all backends by rendezvous hashing, and the first Size
// of those that are eligible are it. A backend that comes or goes changes at most one entry of it,
// and so does one that is marked down: the next in rank stands in until it is back. Those that
// others stand in for are in the Set.Others of the inner policy. Balancers need not know of each
// other, and what one chooses is random to the others: of c balancers with k out of n backends, a
// backend has c k / n on average, with a coefficient of variation of sqrt((1-k/n) / (c k/n)). Where
// that is too uneven, and balancers can be numbered, there is Aperture. Weights do not matter to the
// choice, as the inner policy heeds them.
//
// A request that has tried the whole subset goes to any other eligible backend. Ranking costs
// n log n when the set of backends changes; a pick costs what the inner picker's does, in the size
// of the subset.
func Subset(cfg SubsetConfig) (lb.Policy, error) {
	var errs []error
	if cfg.Inner == nil {
		errs = append(errs, errors.New("picker: SubsetConfig.Inner is nil; try picker.PowerOfTwo"))
	}
	if cfg.Size < 0 {
		errs = append(errs, fmt.Errorf("picker: SubsetConfig.Size is %d, an empty subset; give 1 or more, or 0 for %d", cfg.Size, subsetSize))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	size, salt := cmp.Or(cfg.Size, subsetSize), rand.Uint64()
	if cfg.Salt != "" {
		salt = xxhash.Sum64String(cfg.Salt)
	}
	return func(set lb.Set) lb.Picker { return newSubset(set, leading(set, size, salt), cfg.Inner) }, nil
}

// leading returns the first eligible backends by rank, and those before the last of them that are
// not eligible.
func leading(set lb.Set, size int, salt uint64) (chosen lb.Set) {
	for _, p := range ordered(set, salt) {
		if len(chosen.Eligible) == size {
			break
		}
		if i := p.at - len(set.Eligible); i >= 0 {
			chosen.Others = append(chosen.Others, set.Others[i])
			continue
		}
		chosen.Eligible = append(chosen.Eligible, set.Eligible[p.at])
	}
	return chosen
}

// place is where a backend stands in an order that depends on IDs alone and does not keep
// neighbours together, such as those of a rack.
type place struct {
	hash uint64
	at   int // an index of Set.Eligible, or, from its length on, of Set.Others
}

// ordered returns all backends of a set in the order of a salt.
func ordered(set lb.Set, salt uint64) []place {
	places := make([]place, 0, len(set.Eligible)+len(set.Others))
	add := func(id string) {
		places = append(places, place{mix(xxhash.Sum64String(id) ^ salt), len(places)})
	}
	for _, c := range set.Eligible {
		add(c.ID())
	}
	for _, b := range set.Others {
		add(b.ID())
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.hash, b.hash) })
	return places
}

// subset picks from a few, and from the rest when all of those were tried.
type subset struct {
	*group
	ids  map[string]bool // of the backends that the inner picker knows
	rest []*lb.Backend   // the other eligible ones
}

// newSubset builds the picker over what was chosen of a set.
func newSubset(set, chosen lb.Set, inner lb.Policy) *subset {
	s := &subset{ids: make(map[string]bool, len(chosen.Eligible)+len(chosen.Others))}
	for _, c := range chosen.Eligible {
		s.ids[c.ID()] = true
	}
	for _, b := range chosen.Others {
		s.ids[b.ID()] = true
	}
	for _, c := range set.Eligible {
		if !s.ids[c.ID()] {
			s.rest = append(s.rest, c.Backend)
		}
	}
	slices.SortFunc(chosen.Eligible, func(a, b lb.Candidate) int { return cmp.Compare(a.ID(), b.ID()) })
	slices.SortFunc(chosen.Others, func(a, b *lb.Backend) int { return cmp.Compare(a.ID(), b.ID()) })
	if old, ok := set.Previous.(*subset); ok {
		chosen.Previous = old.previous()
	}
	s.group = newGroup(chosen, inner)
	return s
}

func (s *subset) Pick(info lb.PickInfo) *lb.Backend {
	if b := s.pick(info); b != nil || s.picker == nil {
		return b
	}
	if len(s.rest) == 0 {
		return s.again(info)
	}
	d := draws(info.Rand)
	return s.rest[d.below(len(s.rest))]
}

// Attempted tells the inner picker of the backends that it knows.
func (s *subset) Attempted(res lb.Result) {
	if s.learner != nil && s.ids[res.Backend.ID()] {
		s.attempted(res)
	}
}
