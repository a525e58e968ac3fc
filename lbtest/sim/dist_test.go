package sim_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// Means and quantiles are those of the formulas.
func TestDistributions(t *testing.T) {
	s := float64(time.Second)
	survival := sim.Survival{{At: ms, Beyond: 1}, {At: 10 * ms, Beyond: 0.02}, {At: 1800 * ms, Beyond: 1e-5}}
	for name, c := range map[string]struct {
		dist      sim.Dist
		mean      float64 // zero: not looked at
		quantiles map[float64]float64
	}{
		"Fixed":       {sim.Fixed(time.Second), s, map[float64]float64{0.001: s, 0.999: s}},
		"Exponential": {sim.Exponential(time.Second), s, map[float64]float64{0.5: math.Ln2 * s, 0.99: math.Log(100) * s}},
		"Normal":      {sim.Normal{Mean: time.Second, SD: time.Second}, 1.0833 * s, map[float64]float64{0.15: 0, 0.5: s, 0.9: 2.2816 * s, 0.99: 3.3263 * s}},
		"LogNormal":   {sim.LogNormal{Median: time.Second, Sigma: 1}, math.Exp(0.5) * s, map[float64]float64{0.5: s, 0.9: math.Exp(1.28155) * s}},
		"Pareto":      {sim.Pareto{Min: time.Second, Alpha: 3}, 1.5 * s, map[float64]float64{0.5: math.Pow(2, 1./3) * s, 0.99: math.Pow(100, 1./3) * s}},
		"bounded":     {sim.Pareto{Min: time.Second, Alpha: 3, Max: 2 * time.Second}, 0, map[float64]float64{0.5: math.Pow(2, 1./3) * s, 0.99: 2 * s}},
		"Mixture": {sim.Mixture{{Weight: 3, Dist: sim.Fixed(time.Second)}, {Weight: 1, Dist: sim.Fixed(5 * time.Second)}}, 2 * s,
			map[float64]float64{0.74: s, 0.76: 5 * s}},
		"Survival": {survival, 0, map[float64]float64{0.98: 0.010 * s, 0.9: 0.001 * s * math.Pow(10, math.Log(0.1)/math.Log(0.02)), 0.99: 0.010 * s * math.Pow(180, math.Log(0.5)/math.Log(5e-4))}},
	} {
		r, n := rand.New(rand.NewPCG(1, 0)), 200_000
		all, sum := make([]float64, n), 0.0
		for i := range all {
			all[i] = float64(c.dist.Draw(r))
			sum += all[i]
		}
		slices.Sort(all)
		if mean := sum / float64(n); c.mean > 0 && deviation(mean, c.mean) > 0.01 {
			t.Errorf("%s: mean %v, want %v", name, time.Duration(mean), time.Duration(c.mean))
		}
		for q, want := range c.quantiles {
			if got := all[int(q*float64(n))]; math.Abs(got-want) > 0.03*want {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, time.Duration(got), time.Duration(want))
			}
		}
	}
}

// counts returns how many arrivals each client has in each window.
func counts(a sim.Arrivals, clients int, span, window time.Duration) [][]float64 {
	all := make([][]float64, clients)
	for i := range all {
		all[i] = make([]float64, span/window)
		next := a.Stream(sim.Source{Client: i, Clients: clients, Own: rand.New(rand.NewPCG(1, uint64(i))), Common: rand.New(rand.NewPCG(1, 99))})
		for last := time.Duration(0); ; {
			at, ok := next()
			if !ok || at >= span {
				break
			}
			if at < last {
				panic("arrivals go back")
			}
			last = at
			all[i][at/window]++
		}
	}
	return all
}

// moments returns the mean of all clients together in a window, and variance over mean, which is one for
// Poisson arrivals.
func moments(all [][]float64) (mean, dispersion float64) {
	n := len(all[0])
	sums := make([]float64, n)
	for _, c := range all {
		for i, x := range c {
			sums[i] += x
			mean += x / float64(n)
		}
	}
	for _, x := range sums {
		dispersion += (x - mean) * (x - mean) / float64(n) / mean
	}
	return mean, dispersion
}

func TestArrivals(t *testing.T) {
	bursts := func(together bool) sim.Arrivals {
		return sim.States{{Rate: 400, Stay: sim.Exponential(time.Second), Together: together}, {Rate: 0, Stay: sim.Exponential(3 * time.Second), Together: together}}
	}
	var trace sim.Trace
	for i := range 100_000 {
		trace = append(trace, time.Duration(i)*10*ms)
	}
	for name, c := range map[string]struct {
		arrivals  sim.Arrivals
		low, high float64 // dispersion
	}{
		"Poisson":         {sim.Poisson(100), 0.85, 1.15},
		"Regular":         {sim.Regular(100), 0, 0.1},
		"Trace":           {trace, 0, 0.1},
		"bursts together": {bursts(true), 100, 400},
		"bursts apart":    {bursts(false), 5, 60},
		"diurnal":         {sim.Diurnal{Rate: 100, Swing: 0.5, Period: 100 * time.Second}, 10, 16},
	} {
		mean, dispersion := moments(counts(c.arrivals, 8, 1000*time.Second, time.Second))
		within := 0.01
		if c.high > 2 {
			within = 0.15 // few bursts
		}
		if deviation(mean, 100) > within || dispersion < c.low || dispersion > c.high {
			t.Errorf("%s: %.2f a second, dispersion %.2f, want 100 and %v to %v", name, mean, dispersion, c.low, c.high)
		}
	}
}

// Steps of load are where they should be, and the sun is at its height after a quarter of a day.
func TestLoadFollowsItsPlan(t *testing.T) {
	steps := sim.States{{Rate: 100, Stay: sim.Fixed(10 * time.Second)}, {Rate: 0, Stay: sim.Fixed(10 * time.Second)}, {Rate: 300}}
	all := counts(steps, 1, 40*time.Second, 10*time.Second)[0]
	for i, want := range []float64{1000, 0, 3000, 3000} {
		if math.Abs(all[i]-want) > 4*math.Sqrt(want) {
			t.Errorf("step %d: %v arrivals, want about %v", i, all[i], want)
		}
	}
	day := counts(sim.Diurnal{Rate: 10, Swing: 1}, 1, 24*time.Hour, 6*time.Hour)[0]
	for i, want := range []float64{216_000 * (1 + 2/math.Pi), 216_000 * (1 + 2/math.Pi), 216_000 * (1 - 2/math.Pi), 216_000 * (1 - 2/math.Pi)} {
		if math.Abs(day[i]-want) > 4*math.Sqrt(want) {
			t.Errorf("quarter %d: %v arrivals, want about %.0f", i, day[i], want)
		}
	}
	over := sim.States{{Rate: 5, Stay: sim.Fixed(time.Second)}, {Rate: 0}}
	if n := counts(over, 1, 100*time.Second, 100*time.Second)[0][0]; n > 20 {
		t.Errorf("%v arrivals after the last state", n)
	}
}
