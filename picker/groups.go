package picker

import (
	"cmp"
	"maps"
	"slices"

	"github.com/go-loadbalancer/lb"
)

// groups are pickers over the parts of a set, one for each key that its eligible backends have,
// and, where a policy needs it, one over all of it.
type groups[K cmp.Ordered] struct {
	keyOf  func(*lb.Backend) (K, bool) // false: in no part
	parts  map[K]*group
	all    *group // nil if there is none
	learns bool   // some picker does
}

// group is a picker over some of the backends.
type group struct {
	members []*lb.Backend
	picker  lb.Picker
	learner interface{ Attempted(lb.Result) } // picker, if it learns; else nil
}

// divide builds the parts of a set. Each part knows its own backends that are not eligible, so
// that to the inner policy it is a whole pool, and follows the part of the same key in old, which
// may be nil.
func divide[K cmp.Ordered](set lb.Set, old *groups[K], inner lb.Policy, keyOf func(*lb.Backend) (K, bool)) *groups[K] {
	g := &groups[K]{keyOf: keyOf}
	sets := make(map[K]lb.Set)
	for _, c := range set.Eligible {
		if key, ok := keyOf(c.Backend); ok {
			part := sets[key]
			part.Eligible = append(part.Eligible, c)
			sets[key] = part
		}
	}
	for _, b := range set.Others {
		key, ok := keyOf(b)
		if part, some := sets[key]; ok && some {
			part.Others = append(part.Others, b)
			sets[key] = part
		}
	}
	g.parts = make(map[K]*group, len(sets))
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		part := sets[key]
		if old != nil {
			part.Previous = old.parts[key].previous()
		}
		g.parts[key] = newGroup(part, inner)
		g.learns = g.learns || g.parts[key].learner != nil
	}
	return g
}

// cover builds the picker over all of a set, after the parts: it may edit the set.
func (g *groups[K]) cover(set lb.Set, old *groups[K], inner lb.Policy) {
	set.Previous = nil
	if old != nil {
		set.Previous = old.all.previous()
	}
	g.all = newGroup(set, inner)
	g.learns = g.learns || g.all.learner != nil
}

// attempted tells the pickers that chose from the result's backend.
func (g *groups[K]) attempted(res lb.Result) {
	if !g.learns {
		return
	}
	if key, ok := g.keyOf(res.Backend); ok {
		g.parts[key].attempted(res)
	}
	g.all.attempted(res)
}

func newGroup(set lb.Set, inner lb.Policy) *group {
	g := &group{members: make([]*lb.Backend, len(set.Eligible))}
	for i, c := range set.Eligible {
		g.members[i] = c.Backend
	}
	g.picker = inner(set)
	g.learner, _ = g.picker.(interface{ Attempted(lb.Result) })
	return g
}

// previous returns what the picker of a later group over the same part follows.
func (g *group) previous() lb.Picker {
	if g == nil {
		return nil
	}
	return g.picker
}

// pick returns nil if there is no such group, all in it were tried, or its picker refuses.
func (g *group) pick(info lb.PickInfo) *lb.Backend {
	if g == nil || g.picker == nil || g.spent(info) {
		return nil
	}
	return g.picker.Pick(info)
}

// spent reports whether all of g were tried.
func (g *group) spent(info lb.PickInfo) bool {
	return !slices.ContainsFunc(g.members, func(b *lb.Backend) bool { return !info.Tried(b) })
}

// again is pick for a request that has tried everybody, perhaps.
func (g *group) again(info lb.PickInfo) *lb.Backend {
	if g == nil || g.picker == nil {
		return nil
	}
	return g.picker.Pick(info)
}

func (g *group) attempted(res lb.Result) {
	if g != nil && g.learner != nil {
		g.learner.Attempted(res)
	}
}
