package main

import (
	"math"
	"slices"
)

// Spread is the middle half of some values: what a quarter is below, the median, and what a
// quarter is above.
type Spread struct {
	Low    float64 `json:"low"`
	Median float64 `json:"median"`
	High   float64 `json:"high"`
}

// spread returns the quartiles of values, by linear interpolation between the nearest two (the
// method of R's default and of NumPy). Of none they are zero.
func spread(values []float64) Spread {
	sorted := slices.Sorted(slices.Values(values))
	return Spread{Low: quantile(sorted, 0.25), Median: quantile(sorted, 0.5), High: quantile(sorted, 0.75)}
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := q * float64(len(sorted)-1)
	below := int(at)
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}

// percentile returns the smallest of the sorted values that p percent of them do not exceed: a
// latency that was really seen. Of none it is zero.
func percentile[T any](sorted []T, p float64) (value T) {
	if len(sorted) == 0 {
		return value
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ratios divides each value by the base value of the same round. Rounds in which one of them is
// missing are left out.
func ratios(values, base map[int]float64) []float64 {
	var paired []float64
	for round, value := range values {
		if base[round] > 0 {
			paired = append(paired, value/base[round])
		}
	}
	return paired
}
