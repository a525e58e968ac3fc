package picker

import (
	"net/http"
	"slices"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func zoneA(b *lb.Backend) bool { return b.Label("zone") == "a" }

// located returns a backend with a region, which is its zone, too.
func located(id, region string) *lb.Backend {
	return lbtest.Backend(lb.Spec{ID: id, Labels: map[string]string{"region": region, "zone": region}})
}

func from(region string, trusted bool) lb.PickInfo {
	return lb.PickInfo{Trusted: trusted, Request: &http.Request{Header: http.Header{"X-Region": {region}}}}
}

func TestPreferKeepsToThoseThatMatch(t *testing.T) {
	a1, a2, b1 := located("1", "a"), located("2", "a"), located("3", "b")
	policy := Prefer(zoneA, Random)
	got := picks(policy(lbtest.Set(a1, a2, b1)), 5000, seeded(1))
	fits(t, got, map[string]float64{"1": 1, "2": 1})
	fits(t, picks(policy(lbtest.Set(b1)), 100, seeded(1)), map[string]float64{"3": 1})

	p, s := policy(lbtest.Set(a1, a2, b1)), seeded(2)
	for range 100 {
		if got := p.Pick(s.info().WithTried(a1)); got == b1 {
			t.Fatal("b before all of a were tried")
		}
	}
	met := false
	for range 100 {
		met = met || p.Pick(s.info().WithTried(a1, a2)) == b1
	}
	if !met {
		t.Error("never b, although all of a were tried")
	}
}

func TestRegionsServeTheirOwn(t *testing.T) {
	eu, us, far := located("eu-1", "eu"), located("us-1", "us"), located("far", "")
	policy := Region(RegionHeader("x-region", "eu"), Random)
	p := policy(lbtest.Set(eu, far, us))
	all := map[string]float64{"eu-1": 1, "far": 1, "us-1": 1}
	for _, c := range []struct {
		name   string
		info   lb.PickInfo
		shares map[string]float64
	}{
		{"us from a trusted proxy", from("us", true), map[string]float64{"us-1": 1}},
		{"eu from a trusted proxy", from("eu", true), map[string]float64{"eu-1": 1}},
		{"us from anybody", from("us", false), map[string]float64{"eu-1": 1}},
		{"nothing from a trusted proxy", from("", true), map[string]float64{"eu-1": 1}},
		{"no request", lb.PickInfo{Trusted: true}, map[string]float64{"eu-1": 1}},
		{"an unknown region", from("mars", true), all},
		{"us, but it was tried", from("us", true).WithTried(us), all},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, s := make(map[string]float64), seeded(3)
			for range 3000 {
				c.info.Rand = s.Uint64()
				got[p.Pick(c.info).ID()]++
			}
			fits(t, got, c.shares)
		})
	}
	p = policy(lbtest.Set(eu, far)) // no us now
	if got := picks(p, 100, seeded(1)); got["eu-1"] != 100 {
		t.Error(got)
	}
}

// No label is not a region that a request could ask for.
func TestTheEmptyRegionIsNone(t *testing.T) {
	p := Region(func(lb.PickInfo) string { return "" }, Random)(lbtest.Set(located("1", ""), located("2", "eu")))
	fits(t, picks(p, 3000, seeded(1)), map[string]float64{"1": 1, "2": 1})
}

// recorder remembers what it was built over and learns what it is told.
type recorder struct {
	lb.Picker
	set     lb.Set
	results int
}

func (r *recorder) Attempted(lb.Result) { r.results++ }

func recording(built *[]*recorder) lb.Policy {
	return func(set lb.Set) lb.Picker {
		r := &recorder{Picker: Random(set), set: set}
		*built = append(*built, r)
		return r
	}
}

func ids(set lb.Set) (eligible, others []string) {
	for _, c := range set.Eligible {
		eligible = append(eligible, c.ID())
	}
	for _, b := range set.Others {
		others = append(others, b.ID())
	}
	return eligible, others
}

// One picker for each region of the eligible and one for all, whatever requests say; each gets
// its own predecessor, its own slice, and knows those of its own that are not eligible: what is
// eligible elsewhere is none of its business, and no sign that it lacks anything.
func TestRegionsBuildOnePickerEach(t *testing.T) {
	var built []*recorder
	policy := Region(RegionHeader("X-Region", ""), recording(&built))
	set := lbtest.Set(located("1", "us"), located("2", "eu"), located("3", "us"), located("5", ""))
	set.Others = []*lb.Backend{located("4", "us")}
	p := policy(set)
	for range 50 {
		p.Pick(from("mars", true))
	}
	want := []struct{ eligible, others []string }{
		{[]string{"2"}, nil},
		{[]string{"1", "3"}, []string{"4"}},
		{[]string{"1", "2", "3", "5"}, []string{"4"}},
	}
	if len(built) != len(want) {
		t.Fatalf("%d pickers, want %d", len(built), len(want))
	}
	for i, r := range built {
		eligible, others := ids(r.set)
		if !slices.Equal(eligible, want[i].eligible) || !slices.Equal(others, want[i].others) || r.set.Previous != nil {
			t.Errorf("picker %d over %v beside %v after %v", i, eligible, others, r.set.Previous)
		}
	}
	policy(after(p, lbtest.Set(located("1", "us"), located("2", "eu"), located("6", "ap"))))
	if len(built) != 7 {
		t.Fatalf("%d pickers, want 7", len(built))
	}
	for i, previous := range map[int]lb.Picker{3: nil, 4: built[0], 5: built[1], 6: built[2]} {
		if got := built[i].set.Previous; got != previous {
			t.Errorf("picker %d follows %p, want %p", i, got, previous)
		}
	}
}

// Pickers that learn do so inside others, too: each about the backends of its own set.
func TestResultsReachTheInnerPickers(t *testing.T) {
	var built []*recorder
	us, eu := located("1", "us"), located("2", "eu")
	p := Region(RegionHeader("X-Region", ""), recording(&built))(lbtest.Set(us, eu))
	learner := p.(interface{ Attempted(lb.Result) })
	learner.Attempted(lb.Result{Backend: us})
	learner.Attempted(lb.Result{Backend: us})
	learner.Attempted(lb.Result{Backend: eu})
	for i, want := range []int{1, 2, 3} { // eu, us, all
		if built[i].results != want {
			t.Errorf("picker %d was told %d results, want %d", i, built[i].results, want)
		}
	}
	Prefer(zoneA, Random)(lbtest.Set(us, eu)).(*tiers).Attempted(lb.Result{Backend: us}) // nobody learns
}

// Turns go on inside others, too.
func TestPositionsSurviveInsideOthers(t *testing.T) {
	for name, policy := range map[string]lb.Policy{
		"Prefer": Prefer(zoneA, Weighted),
		"Region": Region(RegionHeader("X-Region", "a"), Weighted),
		"nested": Prefer(zoneA, Prefer(zoneA, Weighted)),
	} {
		set := func() lb.Set {
			return eligible([]*lb.Backend{located("1", "a"), located("2", "a"), located("3", "a"), located("4", "b")}, 3, 2, 1, 9)
		}
		got := flapping(policy, 600, set)
		fitsExactly := got["1"] == 300 && got["2"] == 200 && got["3"] == 100
		if !fitsExactly {
			t.Errorf("%s: %v, want 300, 200 and 100", name, got)
		}
	}
}

func TestRefusalsOfInnerPickersCount(t *testing.T) {
	refuse := func(set lb.Set) lb.Picker {
		if len(set.Eligible) == 1 {
			return nil
		}
		return Random(set)
	}
	p := Prefer(zoneA, refuse)(lbtest.Set(located("1", "a"), located("2", "b")))
	if p.Pick(lb.PickInfo{}) == nil {
		t.Error("refused, though the picker over all has some")
	}
	if got := Prefer(zoneA, refuse)(lbtest.Set(located("1", "a"))).Pick(lb.PickInfo{}); got != nil {
		t.Errorf("picked %s for a policy that refuses", got.ID())
	}
}
