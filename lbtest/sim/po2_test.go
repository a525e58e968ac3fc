package sim_test

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// The ramp of the paper's figure 6. As long as the load is below the allocation both policies are as
// good as no queue at all; above, round robin loses its tail to the few backends that have no more than
// their allocation, and Prequal does not. Round robin stands for the paper's weighted one: what backends
// use of their allocation, which its weights are made of, says nothing of the rest.
func TestPO2Ramp(t *testing.T) {
	proof(t)
	warmup, duration := seconds(10, 3), seconds(60, 5)
	loads := either([]float64{0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74}, []float64{0.75, 1.27})
	for _, seed := range seeds() {
		for _, load := range loads {
			t.Run(fmt.Sprint(load, "/seed ", seed), func(t *testing.T) {
				turns := measure(t, "turns", by(bed(seed, load, warmup, duration), picker.RoundRobin))
				asked := measure(t, "Prequal", prequal(bed(seed, load, warmup, duration), picker.PrequalConfig{}))
				if load == 0.75 {
					unqueued(t, turns)
					unqueued(t, asked)
				}
				ramp(t, load, turns, asked)
			})
		}
	}
}

// unqueued holds a tail against that of the work itself.
func unqueued(t *testing.T, got tail) {
	t.Helper()
	near(t, "p50", got.p50, 80, either(0.05, 0.08))
	near(t, "p90", got.p90, 182, either(0.05, 0.08))
	near(t, "p99", got.p99, 265, either(0.05, 0.08))
	near(t, "p99.9", got.p999, 325, either(0.08, 0.2))
}

func ramp(t *testing.T, load float64, turns, asked tail) {
	t.Helper()
	if asked.failed > 0 {
		t.Errorf("Prequal fails %v", asked.failed)
	}
	if most := either(375.0, 430); load <= 1.27 && asked.p999 > most || asked.p999 > 700 {
		t.Errorf("Prequal's p99.9 is %.0f ms", asked.p999)
	}
	if load >= 1.14 && turns.p999 < either(4999.0, 4000) || load >= 1.57 && turns.p99 < 4999 {
		t.Errorf("round robin's tail is %.0f and %.0f ms, want the timeout", turns.p99, turns.p999)
	}
	if load == 1.27 && turns.p99 < either(4.0, 2.5)*asked.p99 {
		t.Errorf("round robin's p99 is %.0f ms, want four times Prequal's %.0f", turns.p99, asked.p99)
	}
}

// Samples that age make the tail longer than is allowed.
func TestPO2NoticesAgeing(t *testing.T) {
	proof(t)
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := prequal(bed(seed, 1.27, seconds(10, 3), seconds(60, 4)), picker.PrequalConfig{})
			c.Probe.Estimator = func(int) sim.Estimator { return new(ageing) }
			if got := measure(t, "ageing", c); got.p999 <= either(375.0, 430) && got.failed == 0 {
				t.Errorf("a p99.9 of %.0f ms passes", got.p999)
			}
		})
	}
}
