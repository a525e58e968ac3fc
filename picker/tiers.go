package picker

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"github.com/go-loadbalancer/lb"
)

// Prefer uses inner on the backends that match, and on all while no matching one is eligible or
// all of those have been tried: a zone before the others, the cheap before the dear.
//
//	picker.Prefer(func(b *lb.Backend) bool { return b.Label("zone") == "a" }, picker.PowerOfTwo)
//
// Match must not be nil, and must say the same of the same backend at all times. It is called
// when the set of backends changes, and, if the inner picker learns, for each result. Once the
// matching backends have refused a request, being full or stopped by their breakers, the others
// get it.
func Prefer(match func(*lb.Backend) bool, inner lb.Policy) lb.Policy {
	const preferred = "preferred"
	groupOf := func(b *lb.Backend) string {
		if match(b) {
			return preferred
		}
		return ""
	}
	return func(set lb.Set) lb.Picker {
		return newTiers(set, inner, groupOf, func(lb.PickInfo) string { return preferred })
	}
}

// Region uses inner on the backends whose label "region" is the region of the request, and on
// all while none of those is eligible, all of them have been tried, or the region is unknown or
// "". Of must not be nil; it is called for each pick, concurrently. RegionHeader makes one. There is
// one inner picker for each region that the eligible backends name, whatever requests say.
func Region(of func(lb.PickInfo) string, inner lb.Policy) lb.Policy {
	groupOf := func(b *lb.Backend) string { return b.Label("region") }
	return func(set lb.Set) lb.Picker { return newTiers(set, inner, groupOf, of) }
}

// RegionHeader finds a request's region in a header that a trusted proxy in front has set, such
// as a CDN. Requests without it, and all that come from elsewhere than Config.TrustedProxies,
// have the region own.
func RegionHeader(header, own string) func(lb.PickInfo) string {
	header = http.CanonicalHeaderKey(header)
	return func(info lb.PickInfo) string {
		if !info.Trusted || info.Request == nil {
			return own
		}
		return cmp.Or(first(info.Request.Header[header]), own)
	}
}

// tiers picks from the group of a request, else from all.
type tiers struct {
	of      func(lb.PickInfo) string
	groupOf func(*lb.Backend) string
	groups  map[string]*group
	all     *group
	learns  bool // some picker does
}

// group is a picker over some of the backends.
type group struct {
	members []*lb.Backend
	picker  lb.Picker
	learner interface{ Attempted(lb.Result) } // picker, if it learns; else nil
}

func newTiers(set lb.Set, inner lb.Policy, groupOf func(*lb.Backend) string, of func(lb.PickInfo) string) *tiers {
	old, ok := set.Previous.(*tiers)
	if !ok {
		old = &tiers{all: new(group)}
	}
	byName := make(map[string][]lb.Candidate)
	for _, c := range set.Eligible {
		if name := groupOf(c.Backend); name != "" {
			byName[name] = append(byName[name], c)
		}
	}
	t := &tiers{of: of, groupOf: groupOf, groups: make(map[string]*group, len(byName))}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		part := lb.Set{Eligible: byName[name], Others: others(set, name, groupOf)}
		if was := old.groups[name]; was != nil {
			part.Previous = was.picker
		}
		t.groups[name] = newGroup(part, inner)
		t.learns = t.learns || t.groups[name].learner != nil
	}
	set.Previous = old.all.picker
	t.all = newGroup(set, inner)
	t.learns = t.learns || t.all.learner != nil
	return t
}

// others returns the backends of set that are not eligible in a group, sorted by ID.
func others(set lb.Set, name string, groupOf func(*lb.Backend) string) []*lb.Backend {
	bs := slices.Clone(set.Others)
	for _, c := range set.Eligible {
		if groupOf(c.Backend) != name {
			bs = append(bs, c.Backend)
		}
	}
	slices.SortFunc(bs, func(a, b *lb.Backend) int { return cmp.Compare(a.ID(), b.ID()) })
	return bs
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

func (t *tiers) Pick(info lb.PickInfo) *lb.Backend {
	if b := t.groups[t.of(info)].pick(info); b != nil {
		return b
	}
	if t.all.picker == nil {
		return nil
	}
	return t.all.picker.Pick(info)
}

// Attempted tells the pickers that chose from the result's backend.
func (t *tiers) Attempted(res lb.Result) {
	if !t.learns {
		return
	}
	t.groups[t.groupOf(res.Backend)].attempted(res)
	t.all.attempted(res)
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

func (g *group) attempted(res lb.Result) {
	if g != nil && g.learner != nil {
		g.learner.Attempted(res)
	}
}
