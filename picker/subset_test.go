package picker

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// refused checks that an error says all of some things.
func refused(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}

func TestSubsetsSayWhatIsWrong(t *testing.T) {
	_, err := Subset(SubsetConfig{Size: -3})
	refused(t, err, "SubsetConfig.Inner is nil; try picker.PowerOfTwo", "SubsetConfig.Size is -3", "0 for 20")
	_, err = Aperture(ApertureConfig{Size: -1})
	refused(t, err, "ApertureConfig.Inner is nil", "ApertureConfig.Balancers is 0; say how many", "ApertureConfig.Size is -1", "0 for 12")
	for _, index := range []int{-1, 3, 4} {
		_, err = Aperture(ApertureConfig{Inner: Random, Balancers: 3, Index: index})
		refused(t, err, fmt.Sprintf("ApertureConfig.Index is %d; number the 3 balancers from 0 to 2", index))
	}
	_, err = Aperture(ApertureConfig{Inner: Random, Balancers: 1_000_001})
	refused(t, err, "ApertureConfig.Balancers is 1000001", "from 1 to 1000000")
}

func TestSubsetSizes(t *testing.T) {
	for _, c := range []struct {
		d    divided
		make subsetter
		want int
	}{
		{divided{1, 100, 0}, subsets, 20},
		{divided{1, 100, 7}, subsets, 7},
		{divided{1, 5, 7}, subsets, 5},
		{divided{100, 100, 0}, apertures, 12},
		{divided{100, 100, math.MaxInt}, apertures, 100},
		{divided{1_000_000, 5, 1}, apertures, 1},
		{divided{1, 100, 0}, apertures, 100}, // somebody has to use each
		{divided{3, 1, 0}, apertures, 1},
	} {
		inner := c.make.chosen(c.d, 0, 1, lbtest.Set(crowd(c.d.backends)...))
		if len(inner.Eligible) != c.want || len(inner.Others) != 0 {
			t.Errorf("%v: %d and %d others, want %d and none", c.d, len(inner.Eligible), len(inner.Others), c.want)
		}
		if !slices.IsSortedFunc(inner.Eligible, func(a, b lb.Candidate) int { return strings.Compare(a.ID(), b.ID()) }) {
			t.Errorf("%v: not sorted by ID", c.d)
		}
	}
}

// A salt is a subset, and none is one by chance.
func TestSaltsTellBalancersApart(t *testing.T) {
	of := func(salt string) string {
		var got []string
		policy := lb.Must(Subset(SubsetConfig{Size: 10, Salt: salt, Inner: func(set lb.Set) lb.Picker {
			got, _ = ids(set)
			return nil
		}}))
		policy(lbtest.Set(crowd(100)...))
		return strings.Join(got, " ")
	}
	x, drawn := of("x"), of("")
	if again := of("x"); again != x {
		t.Error("the same salt chooses different subsets")
	}
	if other, anew := of("y"), of(""); other == x || anew == drawn {
		t.Error("different salts choose the same subset")
	}
}

// In a subset, the next in rank stand in for those that are not eligible, which the inner policy
// is told of; when they are back so is the subset.
func TestOthersStandInWhileSomeAreDown(t *testing.T) {
	bs := crowd(50)
	of := func(down ...string) (eligible, others []string) {
		var set lb.Set
		for _, b := range bs {
			if slices.Contains(down, b.ID()) {
				set.Others = append(set.Others, b)
			} else {
				set.Eligible = append(set.Eligible, lb.Candidate{Backend: b, Weight: 1})
			}
		}
		return ids(subsetter(subsets).chosen(divided{size: 8}, 0, 1, set))
	}
	first, _ := of()
	for n := 1; n <= len(first); n++ {
		eligible, others := of(first[:n]...)
		if len(eligible) != 8 || !slices.Equal(others, first[:n]) {
			t.Errorf("%v down: %v beside %v", first[:n], eligible, others)
		}
		for _, id := range first[n:] {
			if !slices.Contains(eligible, id) {
				t.Errorf("%v down: %s had to go, too", first[:n], id)
			}
		}
	}
}

// In an aperture nobody moves while some are down, and those that are left keep their weights; only
// when nobody is left are all used.
func TestAperturesStayWhileSomeAreDown(t *testing.T) {
	d, bs := divided{10, 30, 5}, crowd(30)
	for index := range d.balancers {
		of := func(down ...string) lb.Set {
			var set lb.Set
			for _, b := range bs {
				if slices.Contains(down, b.ID()) {
					set.Others = append(set.Others, b)
				} else {
					set.Eligible = append(set.Eligible, lb.Candidate{Backend: b, Weight: 3})
				}
			}
			return subsetter(apertures).chosen(d, index, 0, set)
		}
		whole := of()
		members, _ := ids(whole)
		for n := 1; n < len(members); n++ {
			now := of(members[:n]...)
			_, others := ids(now)
			if !slices.Equal(others, members[:n]) || !slices.Equal(now.Eligible, whole.Eligible[n:]) {
				t.Errorf("balancer %d, %v down: %v", index, members[:n], now)
			}
		}
		none := of(members...)
		if len(none.Eligible)+len(members) != 30 || len(none.Others) != len(members) || none.Eligible[0].Weight != 3 {
			t.Errorf("balancer %d, its whole aperture down: %d eligible", index, len(none.Eligible))
		}
	}
}

// One that joins or leaves moves few entries of an aperture, wherever it stands: those at its ends,
// and as many as one more balancer's share has where there has to be one.
func TestAperturesChangeLittle(t *testing.T) {
	for _, d := range []divided{{30, 300, 12}, {100, 100, 12}, {60, 200, 20}, {7, 100, 12}} {
		worst, set := 0, lbtest.Set(crowd(d.backends)...)
		for index := range d.balancers {
			before := subsetter(apertures).chosen(d, index, 0, set)
			for gone := 0; gone < d.backends; gone += 1 + d.backends/8 {
				less := lb.Set{Eligible: slices.Delete(slices.Clone(set.Eligible), gone, gone+1)}
				worst = max(worst, differing(before, subsetter(apertures).chosen(d, index, 0, less)))
			}
		}
		if worst > 2+(d.backends+d.balancers-1)/d.balancers {
			t.Errorf("%v: %d entries changed", d, worst)
		}
	}
}

// Weights are scaled, not replaced: what a backend gets is in proportion to its own.
func TestApertureScalesWeights(t *testing.T) {
	// Two balancers share three backends: each has one and a half.
	bs := []*lb.Backend{lbtest.Backend(lb.Spec{ID: "a", Weight: 4}), lbtest.Backend(lb.Spec{ID: "b", Weight: 4}), lbtest.Backend(lb.Spec{ID: "c", Weight: 4})}
	total := make(map[string]float64)
	for index := range 2 {
		inner := subsetter(apertures).chosen(divided{2, 3, 1}, index, 0, lbtest.Set(bs...))
		var weights []float64
		for _, c := range inner.Eligible {
			weights = append(weights, c.Weight)
			total[c.ID()] += c.Weight
		}
		slices.Sort(weights)
		if !slices.Equal(weights, []float64{2, 4}) {
			t.Errorf("balancer %d: weights %v, want 2 and 4", index, weights)
		}
	}
	for id, w := range total {
		if w != 4 {
			t.Errorf("%s has %v in all", id, w)
		}
	}
}

// A request that has tried its whole subset gets one of the others.
func TestRequestsLeaveASubsetThatRefuses(t *testing.T) {
	set := lbtest.Set(crowd(10)...)
	for name, policy := range map[string]lb.Policy{
		"Subset":   lb.Must(Subset(SubsetConfig{Inner: Random, Size: 3, Salt: "x"})),
		"Aperture": lb.Must(Aperture(ApertureConfig{Inner: Random, Balancers: 10, Size: 3})),
	} {
		p := policy(lb.Set{Eligible: slices.Clone(set.Eligible)})
		inside, s := picks(p, 1000, seeded(1)), seeded(3)
		if len(inside) != 3 {
			t.Errorf("%s: %v", name, inside)
		}
		info := lb.PickInfo{}
		for _, c := range set.Eligible {
			if inside[c.ID()] > 0 {
				info = info.WithTried(c.Backend)
			}
		}
		outside := make(map[string]float64)
		for range 5000 {
			info.Rand = s.Uint64()
			outside[p.Pick(info).ID()]++
		}
		shares := make(map[string]float64)
		for _, c := range set.Eligible {
			if inside[c.ID()] == 0 {
				shares[c.ID()] = 1
			}
		}
		fits(t, outside, shares)
		everybody := lb.PickInfo{}
		for _, c := range set.Eligible {
			everybody = everybody.WithTried(c.Backend)
		}
		small := policy(lb.Set{Eligible: slices.Clone(set.Eligible[:1])})
		if p.Pick(everybody) == nil || small.Pick(everybody) == nil {
			t.Errorf("%s: refused, though trying again is the balancer's business", name)
		}
	}
}
