package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Quartiles are as R and NumPy give them by default.
func TestSpreadExamples(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{nil, Spread{}},
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{3, 1}, Spread{1.5, 2, 2.5}},
		{[]float64{3, 1, 2}, Spread{1.5, 2, 2.5}},
		{[]float64{4, 1, 3, 2}, Spread{1.75, 2.5, 3.25}},
		{[]float64{7, 1, 6, 2, 5, 3, 4}, Spread{2.5, 4, 5.5}},
	} {
		if got := spread(c.values); got != c.want {
			t.Errorf("spread(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

// Whatever the values and their order: the quartiles are in order and within the values, half of
// the values are on either side of the median, and scaling the values scales them.
func TestSpreadLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		values := draw(random, 1+random.IntN(30))
		got := spread(values)
		if !(slices.Min(values) <= got.Low && got.Low <= got.Median && got.Median <= got.High && got.High <= slices.Max(values)) {
			t.Fatalf("spread(%v) = %v", values, got)
		}
		below, above := 0, 0
		for _, v := range values {
			if v < got.Median {
				below++
			}
			if v > got.Median {
				above++
			}
		}
		if 2*below > len(values) || 2*above > len(values) {
			t.Fatalf("median %v of %v has %d below and %d above", got.Median, values, below, above)
		}
		random.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		if again := spread(values); again != got {
			t.Fatalf("the order of %v matters: %v and %v", values, got, again)
		}
		for i := range values {
			values[i] *= 4
		}
		if scaled := spread(values); scaled != (Spread{4 * got.Low, 4 * got.Median, 4 * got.High}) {
			t.Fatalf("four times the values give %v, not four times %v", scaled, got)
		}
	}
}

// A percentile is one of the values; at least p percent are not above it, and of any smaller
// value that is not so.
func TestPercentileLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		values := draw(random, 1+random.IntN(3000))
		slices.Sort(values)
		for _, p := range []float64{0.1, 50, 99, 99.9, 100} {
			got := percentile(values, p)
			need := p / 100 * float64(len(values))
			at, found := slices.BinarySearch(values, got)
			upTo := at
			for upTo < len(values) && values[upTo] == got {
				upTo++
			}
			if !found || float64(upTo) < need-1e-9 || float64(at) >= need {
				t.Fatalf("percentile %v of %d values is the %dth to %dth", p, len(values), at+1, upTo)
			}
		}
	}
	if got := percentile([]float64(nil), 50); got != 0 {
		t.Errorf("of no values: %v", got)
	}
}

// A ratio has both of its values from one round, so what slows a whole round changes none.
func TestRatiosArePaired(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 500 {
		values, base := map[int]float64{}, map[int]float64{}
		for round := range 1 + random.IntN(9) {
			weather := math.Exp(random.NormFloat64())
			base[round], values[round] = weather*8, weather*4
		}
		values[100], base[200] = 77, 99 // a round that the other does not have
		got := ratios(values, base)
		if len(got) != len(values)-1 {
			t.Fatalf("%d ratios of %v and %v", len(got), values, base)
		}
		for _, r := range got {
			if math.Abs(r-0.5) > 1e-12 {
				t.Fatalf("ratio %v", r)
			}
		}
	}
}

func draw(random *rand.Rand, n int) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(random.IntN(50)) // often equal
	}
	return values
}
