package picker

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// prioritiser makes the policy of a balancer.
type prioritiser func(PriorityConfig) lb.Policy

func prioritised(cfg PriorityConfig) lb.Policy { return lb.Must(Priority(cfg)) }

// tiered returns 100 backends of each tier, of which so many are eligible, sorted by ID.
func tiered(eligible ...int) (set lb.Set) {
	for tier, n := range eligible {
		for i := range 100 {
			label := fmt.Sprint(tier)
			b := lbtest.Backend(lb.Spec{ID: fmt.Sprintf("%d-%03d", tier, i), Labels: map[string]string{"priority": label, "zone": label}})
			if i < n {
				set.Eligible = append(set.Eligible, lb.Candidate{Backend: b, Weight: 1})
			} else {
				set.Others = append(set.Others, b)
			}
		}
	}
	return set
}

// checkLevels: Envoy's table of priority levels, before it rounds them to whole per cents, and
// some more.
func checkLevels(p prioritiser) error {
	var errs []error
	for _, c := range []struct {
		eligible []int
		percent  []float64
	}{
		{[]int{100, 100}, []float64{100, 0}},
		{[]int{72, 100}, []float64{100, 0}},
		{[]int{71, 100}, []float64{99.4, 0.6}},
		{[]int{50, 100}, []float64{70, 30}},
		{[]int{25, 100}, []float64{35, 65}},
		{[]int{0, 100}, []float64{0, 100}},
		{[]int{25, 25}, []float64{50, 50}},
		{[]int{5, 65}, []float64{100 * 7.0 / 98, 100 * 91.0 / 98}},
		{[]int{20, 20, 10}, []float64{40, 40, 20}},
		{[]int{50, 10, 100}, []float64{70, 14, 16}},
		{[]int{1, 0, 0}, []float64{100, 0, 0}},
	} {
		picker := p(PriorityConfig{Inner: Random})(tiered(c.eligible...))
		got := byZone(picker, 100_000, seeded(1))
		for tier, want := range c.percent {
			if share := 100 * got[fmt.Sprint(tier)]; math.Abs(share-want) > 0.5 || want == 0 && share > 0 || want > 0 && share == 0 {
				errs = append(errs, fmt.Errorf("%d %% eligible: tier %d gets %.2f %%, want %.2f", c.eligible, tier, share, want))
			}
		}
	}
	return errors.Join(errs...)
}

// thrifty is a planted defect: nobody bears more than its share.
func thrifty(cfg PriorityConfig) lb.Policy {
	cfg.Overprovision = 1
	return prioritised(cfg)
}

// inTurn is a planted defect: what the tiers have too little of goes to the last.
func inTurn(cfg PriorityConfig) lb.Policy {
	return func(set lb.Set) lb.Picker {
		p := prioritised(cfg)(set).(*priority)
		last := 1.0
		for i, tier := range p.tiers[:len(p.tiers)-1] {
			p.chances[i] = min(1, float64(len(tier.members))/100*overprovision)
			if i > 0 {
				p.chances[i] = min(1, p.chances[i-1]+p.chances[i])
			}
		}
		p.chances[len(p.chances)-1] = last
		return p
	}
}

// ignorant is a planted defect: who is not eligible does not count.
func ignorant(cfg PriorityConfig) lb.Policy {
	return func(set lb.Set) lb.Picker {
		set.Others = nil
		return prioritised(cfg)(set)
	}
}

func TestProofLevelsAreEnvoys(t *testing.T) {
	single(t)
	if err := checkLevels(prioritised); err != nil {
		t.Error(err)
	}
	for name, mutant := range map[string]prioritiser{"thrifty": thrifty, "inTurn": inTurn, "ignorant": ignorant} {
		if checkLevels(mutant) == nil {
			t.Errorf("the check passes for %s", name)
		}
	}
}
