package sim_test

import (
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// Backends of different size, and one that slows down on the way, come to be used alike by what they
// report. Turns drown the small ones.
func TestWeightsOfReportsEvenOut(t *testing.T) {
	proof(t)
	world := func(seed uint64) sim.Config {
		return sim.Config{
			Seed: seed, Clients: 5, Discipline: sim.Sharing,
			Backends: append(sim.Fleet(10, sim.Backend{Cores: 2}), sim.Fleet(10, sim.Backend{Cores: 8})...),
			Arrivals: sim.Poisson(1200), Work: sim.Exponential(50 * time.Millisecond), Timeout: 5 * time.Second,
			Changes: []sim.Change{{At: 12 * time.Second, Backend: 19, Edit: func(b *sim.Backend) { b.Speed = 0.5 }}},
			Probe:   sim.Probe{Reports: true}, Warmup: 25 * time.Second, Duration: seconds(60, 15),
		}
	}
	for _, seed := range seeds() {
		c := world(seed)
		for i := range 10 {
			c.Backends[10+i].Spec.ID = "large" + c.Backends[i].Spec.ID
		}
		even := by(c, lb.Must(picker.WeightedByLoad(picker.WeightedByLoadConfig{})))
		r := run(t, even)
		if r.Errors > 0 {
			t.Errorf("seed %d: %d of %d fail", seed, r.Errors, r.Requests)
		}
		for i, b := range r.Backends {
			near(t, b.ID, b.Busy/c.Backends[i].Cores, 0.625, 0.12) // 60 cores of work on what 96 can do: one is half as fast
		}
		if turns := measure(t, "turns", by(c, picker.RoundRobin)); turns.p99 < 4999 {
			t.Errorf("seed %d: turns are good enough here", seed)
		}
	}
}
