package picker

import (
	"fmt"
	"math"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// pools are loads of so many backends, all different, in an order that is not theirs.
func pools(n int) []int64 {
	loads := make([]int64, n)
	for i := range loads {
		loads[i] = int64(i * coprime(n) % n)
	}
	return loads
}

// choose is the number of sets of k of n.
func choose(n, k int) float64 {
	c := 1.0
	for i := range k {
		c *= float64(n-i) / float64(i+1)
	}
	return c
}

// Of n backends with different loads, the one that has k busier ones wins the sets of d that have
// it and d-1 of those. Drawing with replacement would give the busiest d-1 some.
func TestPowerOfDDrawsAllSetsAlike(t *testing.T) {
	for _, d := range []int{2, 3, 5, 16} {
		for _, n := range []int{scanned*d + 1, 100} {
			bs, shares := loaded(pools(n)...), make(map[string]float64)
			for _, b := range bs {
				shares[b.ID()] = choose(n-1-int(b.InFlight()), d-1)
			}
			got := picks(lb.Must(PowerOfD(d))(lbtest.Set(bs...)), 100_000, seeded(uint64(d)))
			t.Run(fmt.Sprint(d, " of ", n), func(t *testing.T) { fits(t, lumped(got, shares), lumped(shares, shares)) })
		}
	}
}

// lumped puts those together that are expected too seldom for a chi-square, but not those that are
// expected never.
func lumped(counts, shares map[string]float64) map[string]float64 {
	total, out := 0.0, make(map[string]float64)
	for _, s := range shares {
		total += s
	}
	for id, c := range counts {
		if s := shares[id]; s > 0 && s < total/5000 {
			id = "the rare"
		}
		out[id] += c
	}
	return out
}

// Few backends are all looked at: two slow ones of four get nothing while the others are idle,
// where two draws send them one pick in six.
func TestPowerOfDSeesAllOfFew(t *testing.T) {
	bs := loaded(9, 0, 0, 9)
	for _, d := range []int{2, 3, 16} {
		got := picks(lb.Must(PowerOfD(d))(lbtest.Set(bs...)), 6000, seeded(1))
		t.Run(fmt.Sprint(d), func(t *testing.T) { fits(t, got, map[string]float64{id(1): 1, id(2): 1}) })
	}
	got := picks(PowerOfTwo(lbtest.Set(bs...)), 60_000, seeded(1))
	if slow := got[id(0)] + got[id(3)]; math.Abs(slow-10_000) > 500 {
		t.Errorf("PowerOfTwo sent %v of 60000 to the slow ones, want a sixth", slow)
	}
}

// Those that were tried give way, whether all are looked at or a few; if all were, somebody is
// picked all the same.
func TestPowerOfDAvoidsTheTried(t *testing.T) {
	for _, n := range []int{3, 4, 5, 40} {
		bs, s := loaded(pools(n)...), seeded(4)
		p := lb.Must(PowerOfD(2))(lbtest.Set(bs...))
		for i := range 300 {
			info := s.info()
			tried := bs[i%n]
			if got := p.Pick(info.WithTried(tried)); got == tried {
				t.Fatalf("of %d: picked %s again", n, got.ID())
			}
			if p.Pick(info.WithTried(bs...)) == nil {
				t.Fatalf("of %d: no pick once all were tried", n)
			}
		}
	}
}

func TestPowerOfDChecksD(t *testing.T) {
	for d, ok := range map[int]bool{-1: false, 0: false, 1: false, 2: true, 16: true, 17: false} {
		if _, err := PowerOfD(d); (err == nil) != ok {
			t.Errorf("%d draws: %v", d, err)
		}
	}
}

// Ties are shared by weight, and loads are weighed by it.
func TestPowerOfDMindsWeights(t *testing.T) {
	ws, shares := make([]int, 20), make(map[string]float64)
	for i := range ws {
		ws[i] = 1 + i%2
		shares[id(i)] = 9./2 + 10*float64(ws[i])/3 // pairs: 9 of its own kind, halved; 10 mixed ones, by weight
	}
	got := picks(lb.Must(PowerOfD(2))(lbtest.Set(named(ws...)...)), 40_000, seeded(5))
	fits(t, got, shares)
}
