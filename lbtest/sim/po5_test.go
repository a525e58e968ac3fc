package sim_test

import (
	"fmt"
	"testing"

	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/picker"
)

// The sweep of the paper's figure 9: where half of the backends are twice as slow, latency helps in all
// parts of the distribution, and what makes it help costs nothing where there are neighbours instead.
// Latency alone, which does harm, cannot be had.
func TestPO5Quantiles(t *testing.T) {
	proof(t)
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { sweep(t, seed) })
	}
	if _, err := picker.NewPrequal(picker.PrequalConfig{Quantile: 1}); err == nil {
		t.Error("latency alone is offered")
	}
}

func sweep(t *testing.T, seed uint64) {
	warmup, duration := seconds(10, 2), seconds(60, 3)
	slow := func(q float64) tail {
		return measure(t, fmt.Sprint("quantile ", q), prequal(testbed.Unequal(seed, 100, 100, warmup, duration), picker.PrequalConfig{Quantile: q}))
	}
	byRIF, asked := slow(1e-9), slow(0)
	if asked.p99 > 0.90*byRIF.p99 || asked.p90 > 0.85*byRIF.p90 || asked.p50 > 0.92*byRIF.p50 {
		t.Error("the default gains too little")
	}
	if !full() {
		return
	}
	for _, q := range []float64{0.35, 0.59, 0.73, 0.99} {
		if got := slow(q); got.failed > 0 || got.p99 > 1.02*byRIF.p99 {
			t.Errorf("quantile %v does harm", q)
		}
	}
	near := func(q float64) tail {
		return measure(t, fmt.Sprint("neighbours, quantile ", q), prequal(bed(seed, 1.5, warmup, duration), picker.PrequalConfig{Quantile: q}))
	}
	byRIF, asked = near(1e-9), near(0)
	if asked.p99 > 1.05*byRIF.p99 {
		t.Error("the default costs too much")
	}
}
