package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// anyWorld draws a small world in which anything may happen.
func anyWorld(seed uint64) sim.Config {
	r := rand.New(rand.NewPCG(seed, 42))
	maybe := func(d time.Duration) time.Duration {
		if r.IntN(2) == 0 {
			return 0
		}
		return time.Duration(r.Int64N(int64(d)))
	}
	dist := func(d time.Duration) sim.Dist {
		switch r.IntN(4) {
		case 0:
			return sim.Fixed(maybe(d))
		case 1:
			return sim.Exponential(maybe(d))
		case 2:
			return sim.Normal{Mean: maybe(d), SD: maybe(d)}
		}
		return sim.Pareto{Min: maybe(d) / 4, Alpha: 1.1 + r.Float64(), Max: 10 * d}
	}
	var all []lb.Policy
	for _, name := range []string{"Weighted", "PeakEWMA", "Adaptive", "LeastLoaded", "HashClient", "RoundRobin"} {
		if p := policies()[name]; p != nil {
			all = append(all, p)
		}
	}
	n := 1 + r.IntN(6)
	c := sim.Config{
		Seed: seed, Clients: r.IntN(4), Policy: shared(all[r.IntN(len(all))]), Backends: make([]sim.Backend, n), Discipline: sim.Discipline(r.IntN(2)),
		Arrivals: sim.Poisson(1 + 300*r.Float64()), Work: dist(50 * ms), Timeout: 10*ms + time.Duration(r.Int64N(int64(time.Second))), Fanout: r.IntN(4),
		Tries: sim.Tries{Max: r.IntN(4), Timeout: maybe(300 * ms), Unbounded: r.IntN(2) == 0}, Antagonists: sim.Antagonists{Every: maybe(time.Second), Pairs: n / 2},
		Hedge: lb.Hedge{After: maybe(100 * ms), Quantile: float64(r.IntN(2)) * r.Float64()}, Warmup: maybe(time.Second), Duration: time.Second + maybe(time.Second),
	}
	if r.IntN(2) == 0 {
		c.Network, c.Notice, c.Tries.Backoff = dist(10*ms), dist(500*ms), dist(50*ms)
	}
	for i := range c.Backends {
		c.Backends[i] = sim.Backend{
			Spec: lb.Spec{MaxInFlight: r.IntN(3) * r.IntN(10), Weight: r.IntN(4)}, Cores: 4 * r.Float64(), Speed: r.Float64(), Hobbled: float64(r.IntN(2)) * r.Float64(),
			Fail: float64(r.IntN(2)) * r.Float64() / 2, FailAfter: dist(20 * ms), Hang: float64(r.IntN(2)) * r.Float64() / 2, Down: r.IntN(5) == 0, Absent: r.IntN(5) == 0,
		}
	}
	for range r.IntN(10) {
		kind, x := r.IntN(5), r.Float64()
		c.Changes = append(c.Changes, sim.Change{At: maybe(3 * time.Second), Backend: r.IntN(n), Edit: func(b *sim.Backend) {
			switch kind {
			case 0:
				b.Down = !b.Down
			case 1:
				b.Absent = !b.Absent
			case 2:
				b.Cores = 3 * x
			case 3:
				b.Spec.Weight = int(10 * x)
			case 4:
				b.Spec.MaxInFlight = int(10 * x)
			}
		}})
	}
	return c
}

// Whatever the world, it ends with nothing in flight, does not hang, counts what it did, and does the
// same again.
func TestAnyWorldEndsWell(t *testing.T) {
	worlds := uint64(150)
	if raced {
		worlds = 30
	}
	for seed := range worlds {
		first, err := sim.Run(anyWorld(seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		again, err := sim.Run(anyWorld(seed))
		if err != nil || again.Hash != first.Hash || again.End != first.End {
			t.Fatalf("seed %d: two runs differ: %v", seed, err)
		}
		c := anyWorld(seed)
		attempts, failures := int64(0), int64(0)
		for _, b := range first.Backends {
			attempts += b.Attempts
			failures += b.Failures
		}
		switch r := first; {
		case r.Latency.Count() != r.Requests, r.Latency.Max() > c.Timeout, attempts != r.Attempts, failures > r.Attempts:
			t.Errorf("seed %d: %d latencies up to %v of %d, timeout %v; %d attempts of %d, %d failed", seed, r.Latency.Count(), r.Latency.Max(), r.Requests, c.Timeout, attempts, r.Attempts, failures)
		case r.Errors > r.Requests, r.Timeouts+r.Refused > r.Requests*int64(max(1, c.Fanout)), r.Attempts < r.Retries+r.Hedges:
			t.Errorf("seed %d: %+v", seed, r)
		case r.Retries > r.Requests*int64(max(1, c.Fanout)*c.Tries.Max):
			t.Errorf("seed %d: %d retries of %d requests", seed, r.Retries, r.Requests)
		}
	}
}
