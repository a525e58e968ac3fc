package picker

import (
	"cmp"
	"net/http"

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
	groupOf := func(b *lb.Backend) (string, bool) { return preferred, match(b) }
	return func(set lb.Set) lb.Picker {
		return newTiers(set, inner, groupOf, func(lb.PickInfo) string { return preferred })
	}
}

// Region uses inner on the backends whose label "region" is the region of the request, and on
// all while none of those is eligible, all of them have been tried, or the region is unknown or
// "". Of must not be nil; it is called for each pick, concurrently. RegionHeader makes one. There is
// one inner picker for each region that the eligible backends name, whatever requests say.
func Region(of func(lb.PickInfo) string, inner lb.Policy) lb.Policy {
	groupOf := func(b *lb.Backend) (string, bool) { return b.Label("region"), b.Label("region") != "" }
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
	*groups[string]
	of func(lb.PickInfo) string
}

func newTiers(set lb.Set, inner lb.Policy, groupOf func(*lb.Backend) (string, bool), of func(lb.PickInfo) string) *tiers {
	var old *groups[string]
	if p, ok := set.Previous.(*tiers); ok {
		old = p.groups
	}
	t := &tiers{groups: divide(set, old, inner, groupOf), of: of}
	t.cover(set, old, inner)
	return t
}

func (t *tiers) Pick(info lb.PickInfo) *lb.Backend {
	if b := t.parts[t.of(info)].pick(info); b != nil {
		return b
	}
	return t.all.again(info)
}

// Attempted tells the pickers that chose from the result's backend.
func (t *tiers) Attempted(res lb.Result) { t.attempted(res) }
