package picker

import (
	"fmt"
	"math"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func TestPrioritySaysWhatIsWrong(t *testing.T) {
	for _, factor := range []float64{-1, 0.99, math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, err := Priority(PriorityConfig{Overprovision: factor})
		refused(t, err, "PriorityConfig.Inner is nil; try picker.PowerOfTwo",
			fmt.Sprintf("PriorityConfig.Overprovision is %v; give 1 or more, or 0 for 1.4", factor))
	}
}

func labelledAs(id, priority string) *lb.Backend {
	return lbtest.Backend(lb.Spec{ID: id, Labels: map[string]string{"priority": priority}})
}

// Tiers come in the order of their numbers, which may have gaps; what is no number comes last.
func TestTiersAreInOrder(t *testing.T) {
	bs := []*lb.Backend{labelledAs("a", "ten"), labelledAs("b", "10"), labelledAs("c", "9"), labelledAs("d", ""), labelledAs("e", "-1")}
	for n := len(bs); n > 0; n-- { // without those that come before
		p := lb.Must(Priority(PriorityConfig{Inner: Random}))(lbtest.Set(bs[:n]...))
		if got := picks(p, 100, seeded(1)); got[bs[n-1].ID()] != 100 {
			t.Errorf("of the first %d: %v", n, got)
		}
	}
}

func TestOverprovisionIsConfigurable(t *testing.T) {
	for factor, want := range map[float64]float64{1: 0.5, 1.2: 0.6, 2: 1, 100: 1} {
		p := lb.Must(Priority(PriorityConfig{Inner: Random, Overprovision: factor}))(tiered(50, 100))
		if got := byZone(p, 20_000, seeded(1))["0"]; math.Abs(got-want) > 0.015 {
			t.Errorf("factor %v: the first tier gets %.4f, want %.4f", factor, got, want)
		}
	}
}

// With nobody well, each tier gets as much as it has who may be tried; with somebody, only they
// count.
func TestTiersInPanic(t *testing.T) {
	bs := []*lb.Backend{labelledAs("a", "0"), labelledAs("b", "0"), labelledAs("c", "1")}
	policy := lb.Must(Priority(PriorityConfig{Inner: Random}))
	fits(t, picks(policy(lbtest.Set(marked(lb.Down, bs...)...)), 3000, seeded(1)), map[string]float64{"a": 1, "b": 1, "c": 1})
	some := append(marked(lb.Ejected, bs[:2]...), bs[2])
	fits(t, picks(policy(lbtest.Set(some...)), 300, seeded(1)), map[string]float64{"c": 1})
}

// A request that has tried its tier goes to the next one, after the last to the first.
func TestRequestsLeaveATierThatRefuses(t *testing.T) {
	bs := []*lb.Backend{labelledAs("a", "0"), labelledAs("b", "0"), labelledAs("c", "1"), labelledAs("d", "2"), labelledAs("e", "2")}
	whole := lb.Must(Priority(PriorityConfig{Inner: PowerOfTwo}))(lbtest.Set(bs...))
	last := lb.Must(Priority(PriorityConfig{Inner: PowerOfTwo}))(lbtest.Set(append(marked(lb.Down, bs[:3]...), bs[3:]...)...))
	for i, c := range []struct {
		p     lb.Picker
		tried []*lb.Backend
		want  map[string]bool
	}{
		{whole, nil, map[string]bool{"a": true, "b": true}},
		{whole, bs[:1], map[string]bool{"b": true}},
		{whole, bs[:2], map[string]bool{"c": true}},
		{whole, bs[:3], map[string]bool{"d": true, "e": true}},
		{whole, bs, map[string]bool{"a": true, "b": true}},
		{last, nil, map[string]bool{"d": true, "e": true}},
		{last, bs[3:], map[string]bool{"a": true, "b": true}},
		{last, bs[3:4], map[string]bool{"e": true}},
	} {
		got, s := make(map[string]float64), seeded(1)
		for range 200 {
			got[c.p.Pick(s.info().WithTried(c.tried...)).ID()]++
		}
		for id := range got {
			if !c.want[id] {
				t.Errorf("case %d: %v, want %v", i, got, c.want)
				break
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("case %d: %v, want %v", i, got, c.want)
		}
	}
}

// Where a tier's policy refuses, the next is asked, and a set that all refuse ends the choice.
func TestTiersThatRefuse(t *testing.T) {
	alone := func(set lb.Set) lb.Picker {
		if len(set.Eligible) == 1 {
			return nil
		}
		return Random(set)
	}
	policy := lb.Must(Priority(PriorityConfig{Inner: alone}))
	p := policy(lbtest.Set(labelledAs("a", "0"), labelledAs("b", "1"), labelledAs("c", "1")))
	if b := p.Pick(lb.PickInfo{}); b == nil || b.ID() == "a" {
		t.Errorf("picked %v", b)
	}
	if b := policy(lbtest.Set(labelledAs("a", "0"), labelledAs("b", "1"))).Pick(lb.PickInfo{}); b != nil {
		t.Errorf("picked %s for a policy that refuses", b.ID())
	}
}
