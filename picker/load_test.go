package picker

import (
	"fmt"
	"math"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/lbtest"
)

// permutations calls f with every order of loads.
func permutations(loads []int64, f func([]int64)) {
	var permute func(int)
	permute = func(k int) {
		if k == len(loads) {
			f(loads)
			return
		}
		for i := k; i < len(loads); i++ {
			loads[k], loads[i] = loads[i], loads[k]
			permute(k + 1)
			loads[k], loads[i] = loads[i], loads[k]
		}
	}
	permute(0)
}

// Of n backends with different loads, the one that has k less loaded than itself wins the pairs
// with the n-1-k others. Drawing with replacement would give the busiest some, and taking a
// neighbour in place of a double would favour neighbours.
func TestPowerOfTwoDrawsAllPairsAlike(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"PowerOfTwo": PowerOfTwo, "PeakEWMA": PeakEWMA} {
		for _, loads := range [][]int64{{0, 9}, {0, 3, 9}, {0, 3, 9, 27}, {0, 1, 2, 3, 4}} {
			permutations(loads, func(loads []int64) {
				bs, shares := loaded(loads...), make(map[string]float64)
				for i, b := range bs {
					for j := range bs {
						if loads[j] > loads[i] {
							shares[b.ID()]++
						}
					}
				}
				got := picks(policy(lbtest.Set(bs...)), 2000, seeded(uint64(len(loads))))
				if t.Run(fmt.Sprint(name, loads), func(t *testing.T) { fits(t, got, shares) }); t.Failed() {
					return
				}
			})
		}
	}
}

func TestPowerOfTwoMindsWeights(t *testing.T) {
	big := lbtest.Backend(lb.Spec{ID: "big", Weight: 10}, lb.Load{InFlight: 9})
	small := lbtest.Backend(lb.Spec{ID: "small"}, lb.Load{InFlight: 1})
	for name, policy := range map[string]lb.Policy{"PowerOfTwo": PowerOfTwo, "LeastLoaded": LeastLoaded} {
		if got := picks(policy(lbtest.Set(big, small)), 500, seeded(1)); got["small"] > 0 {
			t.Errorf("%s: %v, want only big, which has less for its weight", name, got)
		}
	}
}

// Equal loads are shared by weight, whichever of them is asked for first.
func TestTiesAreSharedByWeight(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"PowerOfTwo": PowerOfTwo, "LeastLoaded": LeastLoaded} {
		for _, ws := range [][]int{{1, 1}, {3, 1}, {1, 3}} {
			got := picks(policy(lbtest.Set(named(ws...)...)), 20_000, seeded(2))
			t.Run(fmt.Sprint(name, ws), func(t *testing.T) {
				fits(t, got, map[string]float64{id(0): float64(ws[0]), id(1): float64(ws[1])})
			})
		}
	}
	got := picks(LeastLoaded(lbtest.Set(named(5, 1, 3, 1)...)), 20_000, seeded(2))
	fits(t, got, map[string]float64{id(0): 5, id(1): 1, id(2): 3, id(3): 1})
}

// Caddy keeps former bests on its list and picks at random from it.
func TestLeastLoadedFindsTheLeastInEveryOrder(t *testing.T) {
	for _, loads := range [][]int64{{1, 9}, {0, 1, 9}, {2, 3, 3, 5}, {1, 1, 1, 4, 9}} {
		permutations(loads, func(loads []int64) {
			bs, shares := loaded(loads...), make(map[string]float64)
			least := bs[0].InFlight()
			for _, b := range bs {
				least = min(least, b.InFlight())
			}
			for _, b := range bs {
				if b.InFlight() == least {
					shares[b.ID()] = 1
				}
			}
			t.Run(fmt.Sprint(loads), func(t *testing.T) {
				fits(t, picks(LeastLoaded(lbtest.Set(bs...)), 1000, seeded(4)), shares)
			})
		})
	}
}

func TestLeastLoadedEndsWhenAllWereTried(t *testing.T) {
	bs := loaded(1, 2, 3)
	p := LeastLoaded(lbtest.Set(bs...))
	if got := p.Pick(lb.PickInfo{}.WithTried(bs[0], bs[1])); got != bs[2] {
		t.Errorf("picked %v, want the one that is left", got)
	}
	if got := p.Pick(lb.PickInfo{}.WithTried(bs...)); got != nil {
		t.Errorf("picked %s again", got.ID())
	}
}

// fresh returns a backend that nobody has met, and its load.
func fresh(id string) (*lb.Backend, *live.Load) {
	load := new(live.Load)
	b, err := lb.NewBackend(lb.Spec{ID: id, URL: "http://" + id}, load)
	if err != nil {
		panic(err)
	}
	return b, load
}

func TestAnIdleNewcomerGetsTheNextPicks(t *testing.T) {
	bs := loaded(8, 8, 8)
	newcomer, load := fresh("newcomer")
	p, s := LeastLoaded(lbtest.Set(append(bs, newcomer)...)), seeded(6)
	for i := range 8 {
		if got := p.Pick(s.info()); got != newcomer {
			t.Fatalf("pick %d went to %s", i, got.ID())
		}
		load.Enter(0)
	}
	got := picks(p, 4000, s) // now there is nobody to prefer
	fits(t, got, map[string]float64{id(0): 1, id(1): 1, id(2): 1, "newcomer": 1})
}

// Envoy's own vector is weight 2 with 4 requests and bias 1: 0.4 (load_balancer_impl_test.cc).
func TestBiasedWeights(t *testing.T) {
	for _, c := range []struct {
		weight   float64
		inFlight int64
		bias     float64
		want     float64
	}{
		{2, 4, 1, 0.4},
		{2, 4, 0, 2},
		{2, 4, 2, 0.08},
		{3, 0, 1, 3},
		{3, 8, 0.5, 1},
		{1, 7, 1.0 / 3, 0.5},
	} {
		if got := c.weight * discount(c.inFlight, c.bias); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("weight %v, %d in flight, bias %v: %v, want %v", c.weight, c.inFlight, c.bias, got, c.want)
		}
	}
}

func TestLeastLoadedBiasFollowsItsWeights(t *testing.T) {
	for _, bias := range []float64{0, 0.5, 1, 2} {
		shares := make(map[string]float64)
		var bs []*lb.Backend
		for i, load := range []int64{4, 0, 9, 1} {
			b := lbtest.Backend(lb.Spec{ID: id(i), Weight: 1 + i}, lb.Load{InFlight: load})
			bs, shares[id(i)] = append(bs, b), float64(1+i)/math.Pow(float64(load+1), bias)
		}
		p := lb.Must(LeastLoadedBias(bias))(lbtest.Set(bs...))
		t.Run(fmt.Sprint(bias), func(t *testing.T) { fits(t, picks(p, 40_000, seeded(3)), shares) })
		if p.Pick(lb.PickInfo{}.WithTried(bs[:3]...)) != bs[3] || p.Pick(lb.PickInfo{}.WithTried(bs...)) != nil {
			t.Errorf("bias %v: want those that were tried left out", bias)
		}
	}
}

func TestLeastLoadedBiasChecksBias(t *testing.T) {
	for _, bias := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		if _, err := LeastLoadedBias(bias); err == nil {
			t.Errorf("bias %v: no error", bias)
		}
	}
}
