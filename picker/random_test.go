package picker

import (
	"math"
	"math/rand/v2"
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

// What the columns give each member is its share, to the last bits.
func TestAliasColumnsAddUpToTheWeights(t *testing.T) {
	for name, draw := range weightings() {
		for _, n := range []int{1, 2, 7, 100, 1000} {
			set := eligible(named(ones(n)...), draw(n, rand.New(rand.NewPCG(uint64(n), 1)))...)
			got, columns := make(map[*lb.Backend]float64), newAlias(set.Eligible)
			for _, c := range columns {
				kept := float64(c.keep) / (1 << 64)
				got[c.own] += kept / float64(n)
				got[c.other] += (1 - kept) / float64(n)
			}
			for _, c := range set.Eligible {
				if share := c.Weight / sum(set.Eligible); math.Abs(got[c.Backend]-share) > 1e-9*share+1e-13 {
					t.Errorf("%s: one of %d has %v of the columns, want %v", name, n, got[c.Backend], share)
				}
			}
		}
	}
}

// The picks follow the weights, and are so many that one weight which is a tenth off shows: five
// times those that find it in four of five cases at one in a hundred.
func TestWeightedRandomShowsAWeightThatIsOff(t *testing.T) {
	sizes := map[int]int{8: 18_600, 16: 44_000}
	if full() {
		sizes[64], sizes[256] = 286_000, 2_060_000
	}
	for n, draws := range sizes {
		for seed := range uint64(tier(1, 5)) {
			ws, shares := make([]float64, n), make(map[string]float64, n)
			for i := range ws {
				ws[i] = float64(10 + i%3)
				shares[id(i)] = ws[i]
			}
			right := picks(WeightedRandom(eligible(named(ones(n)...), ws...)), 5*draws, seeded(seed))
			fits(t, right, shares)
			ws[n/2] *= 1.1
			off := picks(WeightedRandom(eligible(named(ones(n)...), ws...)), 5*draws, seeded(seed))
			if chi, limit := pearson(off, shares); chi <= limit {
				t.Errorf("%d backends, seed %d: chi-square %.1f is not above %.1f with a weight a tenth off", n, seed, chi, limit)
			}
		}
	}
}
