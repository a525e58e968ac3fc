package sim_test

import (
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// Two choices against one, on a fleet that is busy for nine tenths of the time.
func Example() {
	for _, policy := range []lb.Policy{picker.Random, picker.PowerOfTwo} {
		report, err := sim.Run(sim.Config{
			Seed:     1,
			Policy:   func(int) lb.Policy { return policy },
			Backends: sim.Fleet(50, sim.Backend{}),
			Arrivals: sim.Poisson(450),
			Work:     sim.Exponential(100 * time.Millisecond),
			Warmup:   10 * time.Second,
			Duration: 30 * time.Second,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Latency.Quantile(0.99) < 2*time.Second, report.InFlight.Quantile(0.99) < 10)
	}
	// Output:
	// false false
	// true true
}

// A backend fails fast for ten seconds. Random goes on asking it, and the budget of retries is
// soon spent; a policy that looks at errors keeps away.
func Example_faults() {
	for _, policy := range []lb.Policy{picker.Random, picker.PeakEWMA} {
		report, err := sim.Run(sim.Config{
			Policy:   func(int) lb.Policy { return policy },
			Backends: sim.Fleet(3, sim.Backend{Cores: 8}),
			Arrivals: sim.Poisson(300),
			Work:     sim.LogNormal{Median: 20 * time.Millisecond, Sigma: 0.5},
			Tries:    sim.Tries{Max: 1},
			Changes: []sim.Change{
				{At: 5 * time.Second, Backend: 1, Edit: func(b *sim.Backend) { b.Fail = 1 }},
				{At: 15 * time.Second, Backend: 1, Edit: func(b *sim.Backend) { b.Fail = 0 }},
			},
			Duration: 20 * time.Second,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(report.Errors > 100)
	}
	// Output:
	// true
	// false
}

// Each backend is asked by each client every tenth of a second, and two choices are made by what
// they said: a rule that knows of other clients' requests, but late.
func ExampleProbe() {
	probe := sim.Probe{
		Every: 100 * time.Millisecond,
		Delay: time.Millisecond,
		Policy: func(int, func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
			said := make(map[*lb.Backend]int64)
			policy := func(set lb.Set) lb.Picker {
				return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
					n := uint64(len(set.Eligible))
					a, b := set.Eligible[info.Rand%n], set.Eligible[(info.Rand+1+info.Rand>>32%(n-1))%n]
					if said[a.Backend] < said[b.Backend] {
						return a.Backend
					}
					return b.Backend
				})
			}
			return policy, func(b *lb.Backend, r lb.Report, _ time.Time) { said[b] = r.InFlight }
		},
	}
	report, err := sim.Run(sim.Config{
		Clients:  20,
		Probe:    probe,
		Backends: sim.Fleet(10, sim.Backend{Cores: 4}),
		Arrivals: sim.Poisson(300),
		Work:     sim.Exponential(100 * time.Millisecond),
		Duration: 20 * time.Second,
	})
	fmt.Println(report.Errors, report.Probes > 20*10*10*19, err)
	// Output: 0 true <nil>
}

// Bursts of a tenth of a second that hit all clients at once, on backends that fail when they are
// full.
func ExampleStates() {
	report, err := sim.Run(sim.Config{
		Policy:   func(int) lb.Policy { return picker.LeastLoaded },
		Backends: sim.Fleet(4, sim.Backend{Spec: lb.Spec{MaxInFlight: 10}}),
		Arrivals: sim.States{
			{Rate: 2000, Stay: sim.Fixed(100 * time.Millisecond), Together: true},
			{Rate: 100, Stay: sim.Exponential(time.Second), Together: true},
		},
		Work:     sim.Fixed(10 * time.Millisecond),
		Duration: 30 * time.Second,
	})
	fmt.Println(report.Refused > 0, report.InFlight.Max(), err)
	// Output: true 10 <nil>
}
