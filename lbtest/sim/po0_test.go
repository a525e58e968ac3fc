package sim_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// The gate: what the engine says of queues whose theory is known.
func TestPO0(t *testing.T) {
	proof(t)
	second, clamped := time.Second, sim.Normal{Mean: time.Second, SD: time.Second}
	const meanClamped = 1.083316 // of max(0, N(1, 1))
	for _, c := range []struct {
		name       string
		cores      float64
		discipline sim.Discipline
		rate       float64
		regular    bool
		work       sim.Dist
		mean       float64 // time in the system, in seconds
		wait       float64 // probability, if known
		full       float64
		quick      float64
	}{
		{"M/M/1", 1, sim.FIFO, 0.9, false, sim.Exponential(second), 10, 0.9, 0.03, 0.15},
		{"M/M/10", 10, sim.FIFO, 9, false, sim.Exponential(second), 1.6687, 0.6687, 0.015, 0.06},
		{"M/M/100", 100, sim.FIFO, 90, false, sim.Exponential(second), 1.0217, 0, 0.015, 0.03},
		{"D/M/1", 1, sim.FIFO, 0.9, true, sim.Exponential(second), 5.1787, 0, 0.015, 0.10},
		{"M/M/1-PS", 1, sim.Sharing, 0.7, false, sim.Exponential(second), 1 / 0.3, 0, 0.015, 0.05},
		{"M/G/1-PS", 1, sim.Sharing, 0.7 / meanClamped, false, clamped, meanClamped / 0.3, 0, 0.015, 0.05},
		{"M/G/1-FIFO", 1, sim.FIFO, 0.7 / meanClamped, false, clamped, meanClamped * 2.913, 0, 0.015, 0.05},
	} {
		for _, seed := range seeds() {
			t.Run(fmt.Sprint(c.name, "/seed ", seed), func(t *testing.T) {
				arrivals := sim.Arrivals(sim.Poisson(c.rate))
				if c.regular {
					arrivals = sim.Regular(c.rate)
				}
				span := time.Duration(float64(either(10_000_000, 300_000)) / 2 / c.rate * float64(time.Second))
				r := run(t, sim.Config{
					Seed: seed, Policy: shared(picker.Random), Backends: sim.Fleet(1, sim.Backend{Cores: c.cores}),
					Discipline: c.discipline, Arrivals: arrivals, Work: c.work, Warmup: span / 10, Duration: span,
				})
				within := either(c.full, c.quick)
				near(t, "time in the system", r.Latency.Mean().Seconds(), c.mean, within)
				near(t, "Little's law", r.InFlight.Mean(), c.mean*c.rate, within)
				if c.wait > 0 {
					near(t, "P(wait)", float64(r.Waited)/float64(r.Attempts), c.wait, within)
				}
			})
		}
	}
}
