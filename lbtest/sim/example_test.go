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
