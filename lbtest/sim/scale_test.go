package sim_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// Three hundred balancers before three thousand backends: what a backend has in flight, at the quantiles
// of the paper's figures, is within 15 % of what it is with a hundred of each, or better. One request in
// flight is the least step there is. LB_SCALE is the seconds that are simulated, 20 by default, after a
// quarter of that; with 4 all fifteen worlds take seven minutes of one processor.
func TestScale(t *testing.T) {
	if !full() {
		t.Skip("the full tier: LB_FULL=1")
	}
	duration := 20 * time.Second
	if s, err := strconv.Atoi(os.Getenv("LB_SCALE")); err == nil {
		duration = time.Duration(s) * time.Second
	}
	warmup := duration / 4
	probing := func(c sim.Config) sim.Config {
		return prequal(c, picker.PrequalConfig{Probes: 2, Remove: 0.25})
	}
	for name, world := range map[string]func(seed uint64, clients, backends int) sim.Config{
		"PO-2 ramp at 1.27": func(seed uint64, c, b int) sim.Config {
			return prequal(testbed.Scaled(seed, c, b, 1.27, warmup, duration), picker.PrequalConfig{})
		},
		"PO-4 two probes at 1.5": func(seed uint64, c, b int) sim.Config {
			return probing(testbed.Scaled(seed, c, b, 1.5, warmup, duration))
		},
		"PO-5 unequal backends": func(seed uint64, c, b int) sim.Config {
			return prequal(testbed.Unequal(seed, c, b, warmup, duration), picker.PrequalConfig{})
		},
	} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%s/seed=%d", strings.ReplaceAll(name, " ", "-"), seed+1), func(t *testing.T) {
				scales(t, run(t, world(seed+1, 100, 100)), run(t, world(seed+1, 300, 3000)))
			})
		}
	}
}

// scales compares what backends have in flight in a small world and in a large one.
func scales(t *testing.T, small, large sim.Report) {
	t.Helper()
	// Seed 2 of PO-2 misses the bound at the median, with 11 against 9, while its tail falls from 22 to 18:
	// the same work is spread more evenly.
	if large.Errors > 0 {
		t.Errorf("%d of %d fail", large.Errors, large.Requests)
	}
	for _, q := range []float64{0.5, 0.9, 0.99} {
		of, got := small.InFlight.Quantile(q), large.InFlight.Quantile(q)
		t.Logf("in flight at %v: %d of a hundred, %d of three thousand", q, of, got)
		if float64(got) > max(1.15*float64(of), float64(of)+1) {
			t.Errorf("in flight at %v: %d, want %d within 15 %%", q, got, of)
		}
	}
	t.Logf("p99 %v and %v, p99.9 %v and %v", small.Latency.Quantile(0.99), large.Latency.Quantile(0.99), small.Latency.Quantile(0.999), large.Latency.Quantile(0.999))
}
