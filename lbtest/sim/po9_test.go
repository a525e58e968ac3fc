package sim_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/budget"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// tailAtScale is the BigTable experiment of Dean and Barroso (The Tail at Scale, 2013): a read of
// keys on a hundred backends at a time, and a second request to whoever has not answered in 10 ms.
// The survival between their figures is a calibrated one, with straight lines in logarithms.
func tailAtScale(seed uint64, reads float64, after time.Duration) sim.Config {
	const rate = 10
	return sim.Config{
		Seed: seed, Policy: shared(picker.PowerOfTwo), Backends: sim.Fleet(100, sim.Backend{Cores: sim.Unlimited}), Fanout: 100,
		Arrivals: sim.Poisson(rate), Hedge: lb.Hedge{After: after},
		Work:     sim.Survival{{At: ms, Beyond: 1}, {At: 10 * ms, Beyond: 0.02}, {At: 69 * ms, Beyond: 0.00316}, {At: 1800 * ms, Beyond: 1e-5}},
		Duration: time.Duration(reads / rate * float64(time.Second)),
	}
}

// A hedge after 10 ms takes the longest read in a thousand from 1800 ms to less than 80, for two
// requests in a hundred more.
func TestPO9Hedging(t *testing.T) {
	proof(t)
	reads := either(200_000.0, 4000)
	for _, seed := range seeds() {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bare := run(t, tailAtScale(seed, reads, 0))
			near(t, "p99", bare.Latency.Quantile(0.99).Seconds(), 0.487, either(0.05, 0.30))
			if full() {
				near(t, "p99.9", bare.Latency.Quantile(0.999).Seconds(), 1.8, 0.10)
			}
			hedged := run(t, tailAtScale(seed, reads, 10*ms))
			slowest := hedged.Latency.Quantile(0.999)
			extra := float64(hedged.Attempts)/float64(100*hedged.Requests) - 1
			t.Logf("p99.9 %v without, %v with hedges; %.2f %% extra", bare.Latency.Quantile(0.999), slowest, 100*extra)
			if slowest > either(80*ms, 110*ms) {
				t.Errorf("hedged: p99.9 is %v", slowest)
			}
			if extra > 0.022 {
				t.Errorf("hedged: %.2f %% more requests, want at most 2.2 %%", 100*extra)
			}
		})
	}
}

// layer is a balancer that asks the next one, or, as the last one, backends that fail.
type layer struct {
	next   *layer
	budget *budget.Budget // nil: none
	fail   func() bool    // of the last one
	asked  int            // of the backends
}

func (l *layer) request() bool {
	if l.budget != nil {
		l.budget.Earn()
	}
	for try := range 4 {
		if try > 0 && l.budget != nil && !l.budget.Spend() {
			return false
		}
		if l.try() {
			return true
		}
	}
	return false
}

func (l *layer) try() bool {
	if l.next != nil {
		return l.next.request()
	}
	l.asked++
	return !l.fail()
}

// Three layers that each try four times make 64 requests of one when all fail. With the balancer's
// budget each makes 1.2 at most.
func TestPO9RetryChain(t *testing.T) {
	proof(t)
	const requests = 20_000
	amplification := func(seed uint64, fail float64, budgeted bool) float64 {
		r := rand.New(rand.NewPCG(seed, 0))
		last := &layer{fail: func() bool { return r.Float64() < fail }}
		top := &layer{next: &layer{next: last}}
		for l := top; budgeted && l != nil; l = l.next {
			l.budget = new(budget.Budget)
		}
		for range requests {
			top.request()
		}
		return float64(last.asked) / requests
	}
	for _, seed := range []uint64{1, 2, 3, 4, 5} {
		if got := amplification(seed, 1, false); got != 64 {
			t.Errorf("without a budget: %v requests for each, want 64", got)
		}
		for _, fail := range []float64{0.5, 1} {
			if got := amplification(seed, fail, true); got > 1.73*1.02 {
				t.Errorf("seed %d: %.0f %% fail: %.3f requests for each, want at most 1.73", seed, 100*fail, got)
			}
		}
	}
}

// A simulated client spends the same budget.
func TestPO9TriesAreBudgeted(t *testing.T) {
	c := sim.Config{
		Policy: shared(picker.PowerOfTwo), Backends: sim.Fleet(10, sim.Backend{Fail: 1, FailAfter: sim.Fixed(ms)}),
		Arrivals: sim.Poisson(1000), Work: sim.Fixed(ms), Tries: sim.Tries{Max: 3}, Duration: 10 * time.Second,
	}
	r := run(t, c)
	if got := float64(r.Attempts) / float64(r.Requests); math.Abs(got-1.2) > 0.01 || r.Errors != r.Requests {
		t.Errorf("%.3f attempts for each request, %d of %d failed", got, r.Errors, r.Requests)
	}
	c.Tries.Unbounded = true
	r = run(t, c)
	if got := float64(r.Attempts) / float64(r.Requests); got != 4 {
		t.Errorf("without a budget: %.3f attempts for each request, want 4", got)
	}
}

// After a minute in which backends hardly work, at seven tenths of what they can do before and 1.2
// times that ever after, goodput is back within ten seconds.
func TestPO9Recovery(t *testing.T) {
	proof(t)
	const n, before, during, rate = 10, 20 * time.Second, 60 * time.Second, 1.2 * 0.7 * 10 * 4 / 0.02
	c := sim.Config{
		Clients: 4, Policy: shared(picker.PowerOfTwo), Backends: sim.Fleet(n, sim.Backend{Cores: 4}),
		Arrivals: sim.States{{Rate: rate / 1.2, Stay: sim.Fixed(before), Together: true}, {Rate: rate}},
		Work:     sim.Exponential(20 * ms), Timeout: time.Second,
		Tries:    sim.Tries{Max: 2, Timeout: 500 * ms},
		Duration: before + during + either(60*time.Second, 20*time.Second), Window: time.Second,
	}
	for i := range n {
		c.Changes = append(c.Changes,
			sim.Change{At: before, Backend: i, Edit: func(b *sim.Backend) { b.Speed = 0.05 }},
			sim.Change{At: before + during, Backend: i, Edit: func(b *sim.Backend) { b.Speed = 1 }})
	}
	for _, seed := range seeds() {
		c.Seed = seed
		r := run(t, c)
		for _, w := range r.Series {
			goodput := float64(w.Ended-w.Errors) / float64(max(1, w.Ended)) // all end within a second
			if w.From >= before+10*time.Second && w.To <= before+during && goodput > 0.5 {
				t.Errorf("seed %d, %v: goodput %.2f in the outage", seed, w.To, goodput)
			}
			if w.From >= before+during+10*time.Second && goodput < 0.95 {
				t.Errorf("seed %d, %v: goodput %.2f after the outage", seed, w.To, goodput)
			}
		}
	}
}
