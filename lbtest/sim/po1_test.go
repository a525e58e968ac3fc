package sim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// supermarket is n backends that each serve one request at a time, in a second on average, behind
// one client.
func supermarket(policy lb.Policy, seed uint64, n int, load, requests float64) sim.Config {
	rate := float64(n) * load
	span := time.Duration(requests / rate * float64(time.Second))
	return sim.Config{
		Seed: seed, Policy: shared(policy), Backends: sim.Fleet(n, sim.Backend{}), Arrivals: sim.Poisson(rate),
		Work: sim.Exponential(time.Second), Warmup: span / 2, Duration: span,
	}
}

// Two choices are what the mean-field theory says of them (Mitzenmacher 2001; Vvedenskaya, Dobrushin
// and Karpelevich 1996): of n queues, a share of load^(2^k-1) has k requests or more.
func TestPO1PowerOfTwo(t *testing.T) {
	proof(t)
	for _, c := range []struct{ load, queue float64 }{{0.7, 1.1301}, {0.9, 2.3527}, {0.95, 3.2139}} {
		for _, seed := range seeds() {
			t.Run(fmt.Sprint(c.load, "/seed ", seed), func(t *testing.T) {
				r := run(t, supermarket(picker.PowerOfTwo, seed, either(1000, 200), c.load, either(5e6, 1e5)))
				near(t, "E[Q]", r.InFlight.Mean(), c.queue, either(0.01, 0.06))
				near(t, "E[T]", r.Latency.Mean().Seconds(), c.queue/c.load, either(0.01, 0.06))
				for k := int64(1); k <= 4; k++ {
					within := either(0.03, 0.06)
					if k == 4 {
						within = either(map[bool]float64{true: 0.08, false: 0.05}[c.load == 0.7], 0.25)
					}
					near(t, fmt.Sprint("s_", k), r.InFlight.AtLeast(k), math.Pow(c.load, math.Exp2(float64(k))-1), within)
				}
			})
		}
	}
}

// Turns make of Poisson arrivals nearly regular ones for each backend: D/M/1. Chance leaves them
// as they are: M/M/1.
func TestPO1Baselines(t *testing.T) {
	proof(t)
	for _, c := range []struct {
		name        string
		policy      lb.Policy
		mean        float64
		full, quick float64
	}{{"RoundRobin", picker.RoundRobin, 5.1787, 0.03, 0.06}, {"Random", picker.Random, 10, 0.04, 0.10}} {
		for _, seed := range seeds() {
			t.Run(fmt.Sprint(c.name, "/seed ", seed), func(t *testing.T) {
				r := run(t, supermarket(c.policy, seed, either(1000, 100), 0.9, either(5e6, 2e5)))
				near(t, "E[T]", r.Latency.Mean().Seconds(), c.mean, either(c.full, c.quick))
			})
		}
	}
}

// Two backends and two choices are the shorter queue of both, whose stationary distribution is
// reckoned here. A draw with replacement, which is too rare to be seen among a thousand, is far
// from it.
func TestPO1ShorterOfTwo(t *testing.T) {
	proof(t)
	want := shorterQueue(0.7)
	for _, seed := range seeds() {
		r := run(t, supermarket(picker.PowerOfTwo, seed, 2, 0.7, either(5e6, 1e5)))
		near(t, "E[Q]", r.InFlight.Mean(), want, either(0.01, 0.05))
		r = run(t, supermarket(withReplacement, seed, 2, 0.7, either(5e6, 1e5)))
		if got := r.InFlight.Mean(); deviation(got, want) < 0.08 {
			t.Errorf("drawn with replacement: E[Q] %.3f, want another than %.3f", got, want)
		}
	}
}

// withReplacement has the defect of some least-request balancers: it may compare a backend with
// itself.
func withReplacement(set lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		n := uint64(len(set.Eligible))
		a, b := set.Eligible[info.Rand>>32%n], set.Eligible[info.Rand&math.MaxUint32%n]
		if a.InFlight() <= b.InFlight() {
			return a.Backend
		}
		return b.Backend
	})
}

// shorterQueue returns the mean length of each of two queues with exponential service of mean 1
// and arrivals at twice this rate, all of which join the shorter: power iteration of the uniformized
// chain, cut off where it has no weight.
func shorterQueue(load float64) float64 {
	const most, total = 120, 2.0
	p, next := new([most + 2][most + 2]float64), new([most + 2][most + 2]float64)
	p[0][0] = 1
	rate := total*load + 2
	for range 3000 {
		*next = [most + 2][most + 2]float64{}
		for i := 0; i <= most; i++ {
			for j := max(0, i-12); j <= min(most, i+12); j++ {
				spread(p, next, i, j, total*load/rate)
			}
		}
		p, next = next, p
	}
	mean := 0.0
	for i := range p {
		for j, x := range p[i] {
			mean += x * float64(i+j) / 2
		}
	}
	return mean
}

// spread moves the weight of a state one step on, of which arrive is the chance of an arrival.
func spread(p, next *[122][122]float64, i, j int, arrive float64) {
	x, leave := p[i][j], (1-arrive)/2
	if x == 0 {
		return
	}
	up := func(i, j int, x float64) { next[min(i, 120)][min(j, 120)] += x }
	switch {
	case i < j:
		up(i+1, j, x*arrive)
	case i > j:
		up(i, j+1, x*arrive)
	default:
		up(i+1, j, x*arrive/2)
		up(i, j+1, x*arrive/2)
	}
	up(max(0, i-1), j, x*leave)
	up(i, max(0, j-1), x*leave)
}

// Balls in bins (Azar, Broder, Karlin and Upfal 1999; Berenbrink and others 2006): nobody leaves.
func TestPO1BallsInBins(t *testing.T) {
	proof(t)
	for _, seed := range seeds() {
		bins := either(65_536, 8192)
		if most := fullest(picker.PowerOfTwo, seed, bins, bins); most > 4 {
			t.Errorf("seed %d: two choices fill a bin with %d of %d balls, want at most 4", seed, most, bins)
		}
		if most := fullest(picker.Random, seed, bins, bins); most < 5 || most > 12 {
			t.Errorf("seed %d: one choice fills a bin with %d of %d balls, want 5 to 12", seed, most, bins)
		}
		balls := either(1_000_000, 200_000)
		if most := fullest(picker.PowerOfTwo, seed, 1000, balls); most > balls/1000+4 {
			t.Errorf("seed %d: two choices are %d above the mean, want at most 4", seed, most-balls/1000)
		}
		formula := math.Sqrt(2 * float64(balls) / 1000 * math.Log(1000))
		if gap := float64(fullest(picker.Random, seed, 1000, balls) - balls/1000); gap < 0.6*formula || gap > 1.4*formula {
			t.Errorf("seed %d: one choice is %v above the mean, want about %.0f", seed, gap, formula)
		}
	}
}

// fullest puts balls into bins and returns how many the fullest gets.
func fullest(policy lb.Policy, seed uint64, bins, balls int) int {
	loads, index := make([]live.Load, bins), make(map[*lb.Backend]int, bins)
	var set lb.Set
	for i := range bins {
		b := lb.Must(lb.NewBackend(lb.Spec{ID: fmt.Sprintf("%08d", i), URL: "http://bin"}, &loads[i]))
		index[b] = i
		set.Eligible = append(set.Eligible, lb.Candidate{Backend: b, Weight: 1})
	}
	p, draws, most := policy(set), rand.NewPCG(seed, 0), int64(0)
	for range balls {
		i := index[p.Pick(lb.PickInfo{Rand: draws.Uint64()})]
		loads[i].Enter(0)
		most = max(most, loads[i].InFlight())
	}
	return int(most)
}
