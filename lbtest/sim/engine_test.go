package sim_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

const ms = time.Millisecond

// everything is a world in which all that can happen does.
func everything(seed uint64, policy lb.Policy) sim.Config {
	keys := make([]*http.Request, 50)
	for i := range keys {
		keys[i] = &http.Request{Header: http.Header{"X-Tenant": {fmt.Sprint("tenant-", i)}}}
	}
	fleet := sim.Fleet(12, sim.Backend{Cores: 2, FailAfter: sim.Fixed(ms)})
	fleet[3].Speed, fleet[4].Fail, fleet[5].Hang, fleet[6].Spec.MaxInFlight, fleet[7].Hobbled = 0.5, 0.2, 0.01, 2, 1
	return sim.Config{
		Seed: seed, Clients: 5, Policy: shared(policy), Backends: fleet, Discipline: sim.Sharing,
		Arrivals: sim.States{{Rate: 100, Stay: sim.Exponential(time.Second)}, {Rate: 1000, Stay: sim.Fixed(200 * ms), Together: true}},
		Work:     sim.Mixture{{Weight: 9, Dist: sim.LogNormal{Median: 10 * ms, Sigma: 1}}, {Weight: 1, Dist: sim.Pareto{Min: 10 * ms, Alpha: 2.1, Max: time.Second}}},
		Network:  sim.Normal{Mean: ms, SD: ms / 2}, Timeout: 300 * ms, Fanout: 3,
		Tries: sim.Tries{Max: 2, Timeout: 200 * ms, Backoff: sim.Exponential(5 * ms)}, Hedge: lb.Hedge{After: 100 * ms},
		Antagonists: sim.Antagonists{Every: 500 * ms, Pairs: 3}, Notice: sim.Exponential(50 * ms),
		Changes: []sim.Change{
			{At: 1 * time.Second, Backend: 0, Edit: func(b *sim.Backend) { b.Down = true }},
			{At: 2 * time.Second, Backend: 1, Edit: func(b *sim.Backend) { b.Absent = true }},
			{At: 3 * time.Second, Backend: 0, Edit: func(b *sim.Backend) { b.Down = false }},
			{At: 4 * time.Second, Backend: 1, Edit: func(b *sim.Backend) { b.Absent = false }},
			{At: 5 * time.Second, Backend: 2, Edit: func(b *sim.Backend) { b.Spec.Weight = 3 }},
			{At: 6 * time.Second, Backend: 2, Edit: func(b *sim.Backend) { b.Cores = 0.1 }},
		},
		Request: func(r *rand.Rand) (*http.Request, netip.Addr) {
			return keys[r.IntN(len(keys))], netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(100))})
		},
		Warmup: time.Second, Duration: 8 * time.Second,
	}
}

func policies() map[string]lb.Policy {
	if raced {
		return map[string]lb.Policy{"Weighted": picker.Weighted, "PeakEWMA": picker.PeakEWMA}
	}
	return map[string]lb.Policy{
		"RoundRobin": picker.RoundRobin, "Weighted": picker.Weighted, "Random": picker.Random,
		"LeastLoaded": picker.LeastLoaded, "PowerOfTwo": picker.PowerOfTwo, "PeakEWMA": picker.PeakEWMA,
		"Adaptive": picker.Adaptive, "HashHeader": picker.HashHeader("X-Tenant"), "HashClient": picker.HashClient,
	}
}

// The same seed gives the same events, on one processor or several; anything else gives others.
func TestARunIsAFunctionOfSeedAndConfiguration(t *testing.T) {
	seen, happened := make(map[uint64]string), make(map[string]int64)
	for name, policy := range policies() {
		for seed := range uint64(2) {
			c := everything(seed, policy)
			first := run(t, c)
			procs := runtime.GOMAXPROCS(1)
			second := run(t, c)
			runtime.GOMAXPROCS(procs)
			if first.Hash != second.Hash || first.Events != second.Events {
				t.Errorf("%s, seed %d: two runs differ", name, seed)
			}
			what := fmt.Sprint(name, " ", seed)
			if other, ok := seen[first.Hash]; ok {
				t.Errorf("%s and %s are the same run", what, other)
			}
			seen[first.Hash] = what
			for what, n := range map[string]int64{
				"errors": first.Errors, "timeouts": first.Timeouts, "retries": first.Retries, "hedges": first.Hedges,
			} {
				happened[what] += n
			}
		}
	}
	for what, n := range happened {
		if n < 20 {
			t.Errorf("too little happened: %d %s", n, what)
		}
	}
}

// Another policy meets the same arrivals and the same work.
func TestAnotherPolicyMeetsTheSameRequests(t *testing.T) {
	c := sim.Config{
		Backends: sim.Fleet(10, sim.Backend{Cores: sim.Unlimited}), Arrivals: sim.Poisson(1000), Clients: 3,
		Work: sim.Exponential(10 * ms), Duration: 10 * time.Second,
	}
	c.Policy = shared(picker.Random)
	a := run(t, c)
	c.Policy = shared(picker.PowerOfTwo)
	b := run(t, c)
	if a.Hash == b.Hash {
		t.Error("two policies made the same picks")
	}
	for q := 0.0; q <= 1; q += 0.01 {
		if x, y := a.Latency.Quantile(q), b.Latency.Quantile(q); x != y {
			t.Errorf("quantile %v: %v and %v, though backends are unlimited", q, x, y)
		}
	}
}

// What is measured and what is not adds up.
func TestCountsAddUp(t *testing.T) {
	for name, policy := range policies() {
		r := run(t, everything(7, policy))
		attempts, shares := int64(0), 0.0
		for _, b := range r.Backends {
			attempts += b.Attempts
			shares += b.Share
		}
		if attempts != r.Attempts || shares < 0.999 || shares > 1.001 {
			t.Errorf("%s: backends had %d of %d attempts, shares of %v", name, attempts, r.Attempts, shares)
		}
		if n := 3*r.Requests + r.Retries + r.Hedges - r.Refused; r.Attempts < n || r.Attempts > n+r.Refused {
			t.Errorf("%s: %d attempts for %d arrivals of 3, %d retries, %d hedges, %d refused", name, r.Attempts, r.Requests, r.Retries, r.Hedges, r.Refused)
		}
		if r.Latency.Count() != r.Requests || r.Latency.Max() > 300*ms {
			t.Errorf("%s: %d latencies up to %v of %d arrivals", name, r.Latency.Count(), r.Latency.Max(), r.Requests)
		}
		ended := int64(0)
		for _, w := range r.Series {
			ended += w.Ended
		}
		if len(r.Series) != 100 || ended < r.Requests {
			t.Errorf("%s: a series of %d windows with %d endings", name, len(r.Series), ended)
		}
	}
}

// All that is wrong is said at once.
func TestWrongConfigurationsAreNamed(t *testing.T) {
	_, err := sim.Run(sim.Config{Fanout: -1, Work: sim.Pareto{Alpha: 1}, Backends: []sim.Backend{{Hang: 0.5, Fail: 2}}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range []string{"Policy", "Fanout -1", "Alpha 1", "Arrivals", "Duration", "Fail 2", "Timeout"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not name %s: %v", word, err)
		}
	}
}

func TestPickingAStrangerIsAnError(t *testing.T) {
	stranger, err := lb.NewBackend(lb.Spec{URL: "http://stranger"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := everything(1, func(lb.Set) lb.Picker { return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return stranger }) })
	if _, err := sim.Run(c); err == nil || !strings.Contains(err.Error(), "not in its set") {
		t.Errorf("got %v", err)
	}
}
