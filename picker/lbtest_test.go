package picker

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// asking makes requests that have all the keys, from a trusted proxy.
func asking(i int) lb.PickInfo {
	info := lb.PickInfo{Request: request(i), Trusted: true}
	return info
}

// promised is what each of policies promises to package lbtest.
func promised() map[string]lbtest.Traits {
	zones := func(i int) map[string]string {
		return map[string]string{"zone": string("ab"[i%2]), "region": []string{"eu", "us", "ap"}[i%3]}
	}
	two := lbtest.Traits{Shares: lbtest.Fair, Loads: lbtest.Lighter, AvoidsTried: true}
	hashed := lbtest.Traits{Shares: lbtest.Proportional, Keyed: true, AvoidsTried: true, Info: asking}
	return map[string]lbtest.Traits{
		"RoundRobin":     {Shares: lbtest.Equal, Within: 1},
		"Weighted":       {Shares: lbtest.Proportional, Within: 2},
		"WeightedRests":  {},
		"Random":         {Shares: lbtest.Equal},
		"WeightedRandom": {Shares: lbtest.Proportional},
		"LeastLoaded":    {Shares: lbtest.Proportional, Loads: lbtest.Lightest, AvoidsTried: true},
		"PowerOfTwo":     two,
		"PowerOfThree":   two,
		"BiasedLoad":     {Shares: lbtest.Proportional, AvoidsTried: true},
		"BiasedTwice":    {Shares: lbtest.Proportional, AvoidsTried: true},
		"PeakEWMA":       two,
		"Adaptive":       {Shares: lbtest.Fair, Loads: lbtest.Lighter, Explores: 1.0 / explored, AvoidsTried: true},
		"HashClient":     {Shares: lbtest.Proportional, Keyed: true, AvoidsTried: true},
		"HashWeighted":   {AvoidsTried: true},
		"HashHeader":     hashed,
		"HashCookie":     hashed,
		"Rendezvous":     hashed,
		"Maglev":         {Keyed: true, Moves: 0.05, AvoidsTried: true},
		"Ring":           {Keyed: true, AvoidsTried: true},
		"Bounded":        {AvoidsTried: true, Info: asking},
		"BoundedForeign": {AvoidsTried: true},
		"Subset":         {AvoidsTried: true},
		"ZoneAware":      {Labels: zones},
		"Priority":       {Labels: zones},
		"Prequal":        {AvoidsTried: true},
		"WeightedByLoad": {Shares: lbtest.Proportional, Within: 6, AvoidsTried: true},
		"Prefer":         {Labels: zones},
		"Region":         {Labels: zones, Info: asking},
	}
}

// Every policy passes the kit by which users prove their own, with all that it promises.
func TestPoliciesPassTheKit(t *testing.T) {
	traits := promised()
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			if err := lbtest.TestPolicy(policy, traits[name]); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is put around a policy keeps what that promises.
func TestWrappedPoliciesPassTheKit(t *testing.T) {
	inA := func(int) map[string]string { return map[string]string{"zone": "a", "region": "a"} }
	traits, plain := promised(), policies()
	for _, name := range []string{"Weighted", "LeastLoaded", "HashHeader"} {
		of := traits[name]
		of.Labels = inA
		for wrapper, policy := range map[string]lb.Policy{
			"Prefer": Prefer(zoneA, plain[name]),
			"Region": Region(RegionHeader("X-Region", "a"), plain[name]),
			"nested": Prefer(zoneA, Region(func(lb.PickInfo) string { return "a" }, plain[name])),
		} {
			t.Run(fmt.Sprint(wrapper, "/", name), func(t *testing.T) {
				if err := lbtest.TestPolicy(policy, of); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
