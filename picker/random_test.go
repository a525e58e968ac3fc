package picker

import (
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func TestRandomIsUniform(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 100} {
		bs := named(ones(n)...)
		shares := make(map[string]float64, n)
		for _, b := range bs {
			shares[b.ID()] = 1
		}
		fits(t, picks(Random(lbtest.Set(bs...)), 50_000, seeded(uint64(n))), shares)
	}
}

// Draws that are counted up instead of random must not show.
func TestDrawsAreMixed(t *testing.T) {
	p, got := Random(lbtest.Set(named(1, 1, 1)...)), make(map[string]float64)
	for i := range uint64(30_000) {
		got[p.Pick(lb.PickInfo{Rand: i}).ID()]++
	}
	fits(t, got, map[string]float64{id(0): 1, id(1): 1, id(2): 1})
}

func TestWeightedRandomFollowsWeights(t *testing.T) {
	for _, ws := range [][]int{{1}, {3, 2, 1}, {1, 1000}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {7, 7, 7}} {
		bs, shares := named(ws...), make(map[string]float64)
		for i, b := range bs {
			shares[b.ID()] = float64(ws[i])
		}
		fits(t, picks(WeightedRandom(lbtest.Set(bs...)), 50_000, seeded(8)), shares)
	}
	set := eligible(named(1, 1), 0.5, 1.5)
	fits(t, picks(WeightedRandom(set), 50_000, seeded(8)), map[string]float64{id(0): 1, id(1): 3})
}

// The draw at either end of its range is somebody's, too.
func TestWeightedRandomHasNoGaps(t *testing.T) {
	w := WeightedRandom(eligible(named(ones(3)...), 0.1, 0.2, 0.3))
	for r := range uint64(100_000) {
		if w.Pick(lb.PickInfo{Rand: r << 44}) == nil {
			t.Fatal("no pick")
		}
	}
}
