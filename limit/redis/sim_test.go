package redis

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Whatever the instances, the limit, the demand and how it is spread: in no window of T seconds more
// passes than Burst + Rate * T and the overshoot, and in the long run all of Rate if there is demand.
func TestTheFleetKeepsTheLimit(t *testing.T) {
	const long = 60 * time.Second
	for seed := range uint64(100) {
		f := newFleet(seed, 1, per(1, 1))
		n := []int{1, 2, 3, 8, 20}[f.r.IntN(5)]
		rate := []float64{0.3, 1, 5, 20, 100, 500}[f.r.IntN(6)]
		burst := int(rate*[]float64{0.5, 2, 10}[f.r.IntN(3)]) + 1
		demand := rate * []float64{0.5, 0.9, 1.1, 2, 10}[f.r.IntN(5)]
		demand = min(demand, 2000)
		f = newFleet(seed, n, per(rate, burst))
		weights := make([]float64, n)
		for i := range weights {
			weights[i] = []float64{0, 0.1, 1, 1, 10}[f.r.IntN(5)]
		}
		weights[f.r.IntN(n)] = 1
		for at := time.Duration(0); at < long; at += 5 * time.Second {
			f.load(at, at+5*time.Second, demand, weights...)
			if f.r.IntN(3) == 0 {
				f.r.Shuffle(n, func(i, j int) { weights[i], weights[j] = weights[j], weights[i] })
			}
		}
		f.run()
		what := fmt.Sprintf("seed %d: %d instances %v, rate %v, burst %d, demand %v", seed, n, weights, rate, burst, demand)
		if over := f.most(); over > f.terms.overshoot() {
			t.Errorf("%s: %.1f above the limit, want at most %.1f", what, over, f.terms.overshoot())
		}
		if all, want := float64(len(f.passed)), f.ideal(); all < 0.95*want-1 {
			t.Errorf("%s: %v passed, of %v that would have through one bucket", what, all, want)
		}
	}
}

// Above its rate, a client gets it evenly, not in waves, wherever it comes from.
func TestTheRateIsSmooth(t *testing.T) {
	const long, step = 40 * time.Second, 500 * time.Millisecond
	for _, c := range []struct {
		rate, demand float64
		weights      []float64
	}{
		{1000, 2000, []float64{1, 1, 1, 1, 1, 1, 1, 1}}, {1000, 2000, []float64{9, 1}}, {50, 100, []float64{1, 1, 1, 1}},
		{50, 100, []float64{1, 0, 0, 0, 0, 0, 0, 0}}, {200, 4000, []float64{1, 1, 1, 1, 1, 1, 1, 1}},
	} {
		f := newFleet(1, len(c.weights), per(c.rate, 0))
		f.load(0, long, c.demand, c.weights...)
		f.run()
		for at := 15 * time.Second; at < long; at += step {
			want := c.rate * step.Seconds()
			if n := float64(f.between(at, at+step)); n < 0.6*want || n > 1.4*want {
				t.Errorf("rate %v, demand %v at %v: %v passed from %v on, want %v", c.rate, c.demand, c.weights, n, at, want)
			}
		}
		if most := 12 * float64(len(c.weights)) * long.Seconds(); float64(f.commands) > most {
			t.Errorf("rate %v, demand %v at %v: %d commands, want at most %v", c.rate, c.demand, c.weights, f.commands, most)
		}
	}
}

// Figures of accuracy and cost, for the package's comment: go test -run TestFigures -v.
func TestFigures(t *testing.T) {
	const long = 60 * time.Second
	for _, c := range []struct {
		what         string
		n            int
		rate, demand float64
		weights      []float64
	}{
		{"half of the rate, evenly", 4, 50, 25, []float64{1, 1, 1, 1}},
		{"90 % of the rate, evenly", 4, 50, 45, []float64{1, 1, 1, 1}},
		{"90 % of the rate, at one", 4, 50, 45, []float64{1, 0, 0, 0}},
		{"twice the rate, evenly", 4, 50, 100, []float64{1, 1, 1, 1}},
		{"twice the rate, 90 % and 10 %", 2, 50, 100, []float64{9, 1}},
		{"twice the rate, at one of 8", 8, 50, 100, []float64{1, 0, 0, 0, 0, 0, 0, 0}},
		{"ten times the rate, evenly", 8, 50, 500, []float64{1, 1, 1, 1, 1, 1, 1, 1}},
		{"ten times a rate of 1", 4, 1, 10, []float64{1, 1, 1, 1}},
		{"90 % of 1,000", 8, 1000, 900, []float64{1, 1, 1, 1, 1, 1, 1, 1}},
		{"twice 1,000", 8, 1000, 2000, []float64{1, 1, 1, 1, 1, 1, 1, 1}},
		{"twice 1,000, 90 % and 10 %", 2, 1000, 2000, []float64{9, 1}},
	} {
		f := newFleet(1, c.n, per(c.rate, 0))
		f.load(0, long, c.demand, c.weights...)
		f.run()
		want := min(c.demand, c.rate) * 50
		served := make([]int, c.n)
		for i := range served {
			served[i] = 100 * f.by[i] / max(1, f.asked[i])
		}
		slices.Sort(served)
		t.Logf("%-32s %d instances, rate %v: %5.1f %% of what may pass, %6.1f above (at most %.0f), %4.0f commands per 1,000 requests, %4.1f/s, served %v %%",
			c.what, c.n, c.rate, 100*float64(f.between(10*time.Second, long))/want, f.most(), f.terms.overshoot(),
			1000*float64(f.commands)/float64(f.requests()), float64(f.commands)/long.Seconds(), served)
	}
}

func (f *fleet) requests() (n int) {
	for _, a := range f.asked {
		n += a
	}
	return n
}
