package lbtest

import (
	"fmt"
	"math"
	"runtime"
)

// unlikely is the quantile of the normal distribution beyond which a kit does not believe in
// chance any more: one in a million. Kits draw the same numbers in each run, so a subject that is a
// function passes always or never.
const unlikely = 4.75

// ceiling is what chi-square stays below but for one case in a million, by Wilson and Hilferty's
// approximation (1931).
func ceiling(df float64) float64 {
	return df * math.Pow(1-2/(9*df)+unlikely*math.Sqrt(2/(9*df)), 3)
}

// fits returns an error if counts are unlikely, by Pearson's chi-square, to come from what was
// expected, given that each may be further off by a share spread of that. Who was expected to
// have none must have none.
func fits(got, want []float64, spread float64) error {
	chi, df := 0.0, -1.0
	for i, w := range want {
		if w == 0 && got[i] > 0 {
			return fmt.Errorf("number %d of %d got %v picks, want none: %v", i, len(want), got[i], got)
		}
		if w > 0 {
			off := max(0, math.Abs(got[i]-w)-spread*w)
			chi += off * off / w
			df++
		}
	}
	if df > 0 && chi > ceiling(df) {
		return fmt.Errorf("got %.0f picks, want about %.1f (chi-square %.0f, above %.0f)", got, want, chi, ceiling(df))
	}
	return nil
}

// alike returns an error if the rows are unlikely to come from the same distribution. Columns
// that have less than five picks in the mean are left out.
func alike(rows [][]float64) error {
	chi, df := 0.0, 0.0
	for col := range rows[0] {
		sum, total := 0.0, 0.0
		for _, row := range rows {
			sum += row[col]
			for _, c := range row {
				total += c
			}
		}
		mean := sum / float64(len(rows))
		if mean < 5 || sum == total {
			continue
		}
		for _, row := range rows {
			chi += (row[col] - mean) * (row[col] - mean) / mean
		}
		df += float64(len(rows) - 1)
	}
	if df > 0 && chi > ceiling(df) {
		return fmt.Errorf("chi-square %.0f, above %.0f", chi, ceiling(df))
	}
	return nil
}

// allocations returns how many allocations a call of f makes, at the least of several counts:
// what goes on elsewhere in the process must not be held against it.
func allocations(f func()) float64 {
	const calls, rounds = 50, 6
	least := math.Inf(1)
	var m runtime.MemStats
	f() // what is only done the first time
	for range rounds {
		runtime.ReadMemStats(&m)
		before := m.Mallocs
		for range calls {
			f()
		}
		runtime.ReadMemStats(&m)
		least = min(least, float64(m.Mallocs-before)/calls)
	}
	return math.Floor(least)
}
