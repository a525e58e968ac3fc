package picker

import (
	"math"
	"strings"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// spread returns the standard deviation of the backends' parts of a ring, in means: arcs, not
// samples of them.
func spread(points, n int, seed uint64) float64 {
	c := lb.Must(Ring(RingConfig{Points: points}))(lbtest.Set(fleet(seed, ones(n)...)...)).(*ring).circle
	arcs := make([]float64, n)
	last := c.points[len(c.points)-1].at // the first point's arc begins there, behind zero
	for _, p := range c.points {
		arcs[p.owner] += float64(p.at - last)
		last = p.at
	}
	variance := 0.0
	for _, a := range arcs {
		share := a/math.Exp2(64)*float64(n) - 1
		variance += share * share / float64(n)
	}
	return math.Sqrt(variance)
}

func TestRingsAreAsEvenAsTheirPoints(t *testing.T) {
	for _, seed := range seedsOfTier() {
		hundred, thousand := spread(100, 1000, seed), spread(1000, 1000, seed)
		t.Logf("seed %d: standard deviation %.4f with 100 points, %.4f with 1000", seed, hundred, thousand)
		if hundred < 0.09 || hundred > 0.11 || thousand < 0.028 || thousand > 0.036 {
			t.Errorf("seed %d: standard deviation %.4f with 100 points, %.4f with 1000", seed, hundred, thousand)
		}
	}
}

// The first point at or behind a position is what a scan of all finds.
func TestACircleFindsThePointBehind(t *testing.T) {
	for _, ws := range [][]int{{1}, {1, 1}, mixed(12)} {
		for _, points := range []int{1, 2, 7, 160} {
			c := lb.Must(Ring(RingConfig{Points: points}))(lbtest.Set(fleet(1, ws...)...)).(*ring).circle
			d := draws(1)
			positions := []uint64{0, 1, math.MaxUint64}
			for i, p := range c.points {
				if i > 0 && p.at < c.points[i-1].at {
					t.Fatalf("point %d is before the one before", i)
				}
				positions = append(positions, p.at-1, p.at, p.at+1, d.next())
			}
			for _, position := range positions {
				want := 0
				for want < len(c.points) && c.points[want].at < position {
					want++
				}
				if got := c.from(position); got != want {
					t.Fatalf("%d points of %v from %x: %d, want %d", points, ws, position, got, want)
				}
			}
		}
	}
}

func TestAWeightThatGrowsOnlyGainsOnARing(t *testing.T) {
	policy, bs := lb.Must(Ring(RingConfig{Key: drawn})), fleet(1, mixed(20)...)
	cold := parted(bs, nil, nil)
	cold.Eligible[7].Weight = 0.25
	before, after := at(policy(cold), 20_000), at(policy(parted(bs, nil, nil)), 20_000)
	for i := range before {
		if before[i] != after[i] && after[i] != bs[7] {
			t.Fatalf("a key moved from %s to %s", before[i].ID(), after[i].ID())
		}
	}
}

// There is room for everybody, and an end to it.
func TestPointsAreBounded(t *testing.T) {
	for _, c := range []struct {
		weights   []float64
		perWeight int
		want      []int
	}{
		{[]float64{1, 2, 0.5}, 160, []int{160, 320, 80}},
		{[]float64{1e-6, 1}, 160, []int{1, 160}},
		{[]float64{1e6, 1e6}, 1 << 16, []int{500000, 500000}},
		{[]float64{1e6, 1}, 160, []int{625000, 1}},
	} {
		counts, total := pointsOf(c.weights, c.perWeight)
		if total > maxPoints || len(counts) != len(c.want) {
			t.Errorf("%v: %d points", c.weights, total)
		}
		for i := range counts {
			if counts[i] != c.want[i] {
				t.Errorf("%v: %v points, want %v", c.weights, counts, c.want)
			}
		}
	}
}

func TestRingRefusesWrongPoints(t *testing.T) {
	for points, want := range map[int]string{-1: "RingConfig.Points -1 is negative; zero means 160", 65537: "more than 65536"} {
		if policy, err := Ring(RingConfig{Points: points}); policy != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d points: %v, want %q", points, err, want)
		}
	}
}

// Blocks of seeds do not change who is highest.
func TestTheHighestIsTheHighest(t *testing.T) {
	d := draws(1)
	seeds := make([]uint64, 3*block+5)
	for i := range seeds {
		seeds[i] = d.next() >> 1 << 1 // pairs of equal ones, of which the first counts
		if i%2 == 1 {
			seeds[i] = seeds[i-1]
		}
	}
	for _, n := range []int{1, 2, 3, 16, block - 1, block, block + 1, 2*block + 1, len(seeds)} {
		for range 50 {
			key, want := d.next(), 0
			for i, s := range seeds[:n] {
				if mix(key^s)>>12 > mix(key^seeds[want])>>12 {
					want = i
				}
			}
			if got := highest(seeds[:n], key); got != want {
				t.Fatalf("of %d: %d, want %d", n, got, want)
			}
		}
	}
}
