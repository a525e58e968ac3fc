package picker

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// containers returns the policies of this package that have inner ones, so set up that all of a lone
// group, zone "a" and priority 0, belongs together.
func containers(inner lb.Policy) map[string]lb.Policy {
	return map[string]lb.Policy{
		"Prefer":    Prefer(zoneA, inner),
		"Region":    Region(func(lb.PickInfo) string { return "a" }, inner),
		"Subset":    lb.Must(Subset(SubsetConfig{Inner: inner, Salt: "x"})),
		"Aperture":  lb.Must(Aperture(ApertureConfig{Inner: inner, Balancers: 1})),
		"ZoneAware": lb.Must(ZoneAware(ZoneAwareConfig{Inner: inner, Local: "a", MinBackends: 1})),
		"Priority":  lb.Must(Priority(PriorityConfig{Inner: inner})),
	}
}

// Turns go on inside each of them, and inside each of each, whatever is built anew.
func TestPositionsSurviveInsideAll(t *testing.T) {
	bs := []*lb.Backend{located("1", "a"), located("2", "a"), located("3", "a")}
	set := func() lb.Set { return eligible(bs, 3, 2, 1) }
	for outside := range containers(Weighted) {
		for inside, inner := range containers(Weighted) {
			got := flapping(containers(inner)[outside], 600, set)
			if got["1"] != 300 || got["2"] != 200 || got["3"] != 100 {
				t.Errorf("%s of %s: %v, want 300, 200 and 100", outside, inside, got)
			}
		}
	}
}

// Also while a backend comes and goes: those that stay keep their proportion.
func TestPositionsSurviveFlappingInsideAll(t *testing.T) {
	bs := []*lb.Backend{located("1", "a"), located("2", "a"), located("3", "a"), located("4", "a")}
	whole := func() lb.Set { return eligible(bs, 4, 2, 1, 1) }
	less := func() lb.Set {
		set := eligible(append(slices.Clone(bs[:2]), bs[3]), 4, 2, 1)
		set.Others = bs[2:3]
		return set
	}
	for name, policy := range containers(Weighted) {
		got := flapping(policy, 8000, whole, less)
		if ratio := got["1"] / got["2"]; math.Abs(ratio-2) > 0.1 {
			t.Errorf("%s: %v, want twice as many for 1 as for 2", name, got)
		}
		if ratio := got["2"] / got["4"]; math.Abs(ratio-2) > 0.1 {
			t.Errorf("%s: %v, want twice as many for 2 as for 4", name, got)
		}
	}
}

// Each group's picker follows that of the same group, and learns of its own backends; those that
// are not eligible are Others of their own group.
func TestGroupsFollowTheirOwn(t *testing.T) {
	var built []*recorder
	for name, policy := range map[string]lb.Policy{
		"Priority":  lb.Must(Priority(PriorityConfig{Inner: recording(&built), Tier: tierByZone})),
		"ZoneAware": lb.Must(ZoneAware(ZoneAwareConfig{Inner: recording(&built), Local: "a"})),
	} {
		built = nil
		set := func() lb.Set {
			s := lbtest.Set(located("1", "a"), located("2", "b"), located("3", "b"))
			s.Others = []*lb.Backend{located("4", "a"), located("5", "c")}
			return s
		}
		p := policy(set())
		n := len(built) // a, b, and, in ZoneAware, all
		wanted := [][2][]string{{{"1"}, {"4"}}, {{"2", "3"}, nil}, {{"1", "2", "3"}, {"4", "5"}}}
		for i, r := range built {
			if e, o := ids(r.set); !slices.Equal(e, wanted[i][0]) || !slices.Equal(o, wanted[i][1]) || r.set.Previous != nil {
				t.Errorf("%s: picker %d over %v beside %v after %v", name, i, e, o, r.set.Previous)
			}
		}
		policy(after(p, set()))
		for i, r := range built[n:] {
			if r.set.Previous != built[i] {
				t.Errorf("%s: picker %d follows %p, want %p", name, i, r.set.Previous, built[i])
			}
		}
		for _, b := range set().Eligible {
			p.(interface{ Attempted(lb.Result) }).Attempted(lb.Result{Backend: b.Backend})
		}
		for i, want := range []int{1, 2, 3}[:n] {
			if built[i].results != want {
				t.Errorf("%s: picker %d was told %d results, want %d", name, i, built[i].results, want)
			}
		}
	}
}

// A subset's picker follows the one before, also over other backends, and hears of its own only.
func TestSubsetsFollowTheirOwn(t *testing.T) {
	var built []*recorder
	for name, policy := range map[string]lb.Policy{
		"Subset":   lb.Must(Subset(SubsetConfig{Inner: recording(&built), Size: 3, Salt: "x"})),
		"Aperture": lb.Must(Aperture(ApertureConfig{Inner: recording(&built), Size: 3, Balancers: 8, Index: 2})),
	} {
		built = nil
		bs := crowd(9)
		p := policy(lbtest.Set(bs...))
		for _, b := range bs {
			p.(interface{ Attempted(lb.Result) }).Attempted(lb.Result{Backend: b})
		}
		if mine := len(built[0].set.Eligible); built[0].results != mine || mine == 9 {
			t.Errorf("%s: told %d results of %d", name, built[0].results, mine)
		}
		mine := built[0].set.Eligible[0].Backend
		down := lbtest.Set(slices.DeleteFunc(slices.Clone(bs), func(b *lb.Backend) bool { return b == mine })...)
		down.Others = []*lb.Backend{mine}
		p = policy(after(p, down))
		if built[1].set.Previous != built[0] {
			t.Errorf("%s: follows %v", name, built[1].set.Previous)
		}
		p.(interface{ Attempted(lb.Result) }).Attempted(lb.Result{Backend: mine})
		if built[1].results != 1 {
			t.Errorf("%s: not told of one that is down now", name)
		}
		lb.Must(Subset(SubsetConfig{Inner: Random}))(lbtest.Set(bs...)).(*subset).Attempted(lb.Result{Backend: bs[0]}) // nobody learns
	}
}

// Which tier and zone a request falls to says nothing about which backend it gets there.
func TestDrawsAreIndependent(t *testing.T) {
	set := func() lb.Set {
		s, labels := lb.Set{}, []string{"a", "b", "c"}
		for i := range 36 {
			spec := lb.Spec{ID: fmt.Sprintf("%02d", i), Labels: map[string]string{"zone": labels[i%3], "priority": fmt.Sprint(i / 18)}}
			if i%2 == 0 || i >= 18 {
				s.Eligible = append(s.Eligible, lb.Candidate{Backend: lbtest.Backend(spec), Weight: 1})
			} else {
				s.Others = append(s.Others, lbtest.Backend(spec))
			}
		}
		return s
	}
	zoneOf := ZoneAwareConfig{Inner: Random, Local: "a", Fleet: map[string]float64{"a": 4, "b": 1, "c": 1}}
	p := lb.Must(Priority(PriorityConfig{Inner: lb.Must(ZoneAware(zoneOf))}))(set())
	shares := make(map[string]float64)
	for _, c := range set().Eligible {
		tier := map[string]float64{"0": 0.7 / 9, "1": 0.3 / 18}[c.Label("priority")]
		shares[c.ID()] = tier * map[string]float64{"a": 1.5, "b": 0.75, "c": 0.75}[c.Label("zone")]
	}
	fits(t, picks(p, 200_000, seeded(4)), shares)
}

// A tier in which a zone is down, inside and outside of each other: a zone is told apart within
// its tier, whatever there is in others.
func TestPriorityOverZonesOverPowerOfTwo(t *testing.T) {
	zones := lb.Must(ZoneAware(ZoneAwareConfig{Inner: PowerOfTwo, Local: "a"}))
	p := lb.Must(Priority(PriorityConfig{Inner: zones}))
	var set lb.Set
	for i := range 60 { // a quarter of them in tier 0, a third of those in each zone
		spec := lb.Spec{ID: fmt.Sprintf("%02d", i), Labels: map[string]string{"zone": string("abc"[i%3]), "priority": fmt.Sprint(min(1, i/15))}}
		set.Eligible = append(set.Eligible, lb.Candidate{Backend: lbtest.Backend(spec), Weight: 1})
	}
	got := picks(p(set), 2000, seeded(1))
	if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, []string{"00", "03", "06", "09", "12"}) {
		t.Errorf("picked %v, want zone a of tier 0", ids)
	}
}

func TestContainersDoNotAllocate(t *testing.T) {
	for name, policy := range containers(lb.Must(Priority(PriorityConfig{Inner: PowerOfTwo}))) {
		bs := zoned(5, 5)
		for what, info := range map[string]lb.PickInfo{
			"first": {Request: &http.Request{}}, "retry": lb.PickInfo{}.WithTried(bs[:5]...), "last": lb.PickInfo{}.WithTried(bs...),
		} {
			p := policy(lbtest.Set(bs...))
			if n := testing.AllocsPerRun(200, func() { info.Rand++; p.Pick(info) }); n != 0 {
				t.Errorf("%s: %v allocations in a %s pick", name, n, what)
			}
		}
	}
}
