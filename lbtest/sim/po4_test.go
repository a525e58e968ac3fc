package sim_test

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb/picker"
)

// The knee of the paper's figure 8, at one and a half times the allocation: two probes for each pick are
// as good as four, one is nearly, and half a one is not.
func TestPO4ProbeRates(t *testing.T) {
	proof(t)
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { knee(t, seed) })
	}
}

func knee(t *testing.T, seed uint64) {
	got := make(map[float64]tail)
	for _, probes := range either([]float64{4, 2, 1, 0.7071, 0.5}, []float64{2, 0.5}) {
		c := bed(seed, 1.5, seconds(10, 2), seconds(60, 3))
		got[probes] = measure(t, fmt.Sprint(probes, " probes"), prequal(c, picker.PrequalConfig{Probes: probes, Remove: 0.25}))
		if got[probes].failed > 0 {
			t.Errorf("with %v probes %v fail", probes, got[probes].failed)
		}
	}
	many, half := got[either(4.0, 2)], got[0.5]
	if float64(half.rif99) < 1.3*float64(many.rif99) || half.p999 < 1.1*many.p999 {
		t.Error("half a probe makes no difference")
	}
	if !full() {
		return
	}
	for probes, more := range map[float64]float64{2: 1.05, 1: 1.10} {
		if g := got[probes]; g.p99 > more*many.p99 || g.p999 > more*many.p999 {
			t.Errorf("%v probes: p99 %.0f and p99.9 %.0f, want those of four, %.0f and %.0f, within %v",
				probes, g.p99, g.p999, many.p99, many.p999, more)
		}
	}
}
