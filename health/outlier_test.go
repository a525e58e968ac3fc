package health

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// judged returns the causes of backends that had so many results, bad ones and failures each.
func judged(cfg EjectorConfig, all ...counts) []string {
	samples := make([]sample, len(all))
	for i, c := range all {
		samples[i] = sample{id: fmt.Sprint(i), counts: c}
	}
	cfg.withDefaults().judge(samples)
	causes := make([]string, len(all))
	for i, s := range samples {
		causes[i] = s.cause
	}
	return causes
}

func outliers(causes []string) string {
	var all strings.Builder
	for _, c := range causes {
		all.WriteString(map[bool]string{true: ".", false: "e"}[c == ""])
	}
	return all.String()
}

// many returns n backends that had the same.
func many(n int, c counts, others ...counts) []counts {
	return append(slices.Repeat([]counts{c}, n), others...)
}

// Envoy's own vector, and what is to be told of it; and that rules hold at their limits only.
func TestOutliers(t *testing.T) {
	clean := counts{100, 0, 0}
	for _, tt := range []struct {
		name string
		cfg  EjectorConfig
		of   []counts
		want string
		says string // of the last
	}{
		{"golden", EjectorConfig{}, many(4, clean, counts{100, 50, 0}), "....e", "success rate 50.0 % below 52.0 %, the pool's mean 90.0 % minus 1.9 deviations"},
		{"golden with failures", EjectorConfig{}, many(4, clean, counts{100, 50, 50}), "....e", "success rate 50.0 % below 52.0 %, the pool's mean 90.0 % minus 1.9 deviations"},
		{"golden at two deviations", EjectorConfig{Deviations: 2.01}, many(4, clean, counts{100, 9, 0}), ".....", ""},
		{"off", EjectorConfig{Deviations: -1}, many(4, clean, counts{100, 50, 50}), ".....", ""},
		{"all alike", EjectorConfig{}, many(5, counts{100, 50, 50}), ".....", ""},
		{"none bad", EjectorConfig{}, many(5, clean), ".....", ""},
		{"one bad result", EjectorConfig{}, many(4, clean, counts{100, 1, 1}), ".....", ""},
		{"five percent of two hundred", EjectorConfig{}, many(4, counts{200, 0, 0}, counts{200, 10, 0}), "....e", "success rate 95.0 % below 95.2 %, the pool's mean 99.0 % minus 1.9 deviations"},
		{"too few for deviations", EjectorConfig{}, many(4, clean, counts{99, 9, 0}), ".....", ""},
		{"more are needed", EjectorConfig{Requests: 101}, many(4, clean, counts{100, 9, 0}), ".....", ""},
		{"four", EjectorConfig{}, many(3, clean, counts{100, 50, 0}), "...e", "50.0 % of 100 requests were bad, the others' median is 0.0 %"},
		{"two", EjectorConfig{}, many(1, clean, counts{100, 10, 0}), ".e", "10.0 % of 100 requests were bad, the others' median is 0.0 %"},
		{"less than a tenth", EjectorConfig{}, many(1, counts{1000, 0, 0}, counts{1000, 99, 0}), "..", ""},
		{"less than thirty", EjectorConfig{}, many(2, clean, counts{29, 29, 0}), "...", ""},
		{"one alone", EjectorConfig{Failures: 5}, many(0, clean, counts{100, 60, 60}), ".", ""},
		{"three times", EjectorConfig{}, many(2, counts{1000, 100, 0}, counts{1000, 300, 0}), "..e", "30.0 % of 1000 requests were bad, the others' median is 10.0 %"},
		{"less than three times", EjectorConfig{}, many(2, counts{1000, 100, 0}, counts{1000, 299, 0}), "...", ""},
		{"many bad ones", EjectorConfig{}, many(6, clean, counts{100, 50, 0}, counts{100, 50, 0}, counts{100, 50, 0}, counts{100, 50, 0}), "......eeee", "50.0 % of 100 requests were bad, the others' median is 0.0 %"},
		{"failure share", EjectorConfig{}, many(1, counts{50, 50, 43}, counts{50, 50, 43}), "ee", "86.0 % of 50 requests failed, the limit is 85 %"},
		{"failure share below", EjectorConfig{}, many(1, counts{50, 50, 42}, counts{50, 50, 42}), "..", ""},
		{"failure share of few", EjectorConfig{}, many(1, counts{49, 49, 49}, counts{49, 49, 49}), "..", ""},
		{"failure share off", EjectorConfig{FailureShare: -1}, many(1, counts{50, 50, 50}, counts{50, 50, 50}), "..", ""},
		{"plain 500s are no failures", EjectorConfig{}, many(2, counts{100, 100, 0}), "..", ""},
	} {
		got := judged(tt.cfg, tt.of...)
		if outliers(got) != tt.want || got[len(got)-1] != tt.says {
			t.Errorf("%s: %s, %q, want %s, %q", tt.name, outliers(got), got[len(got)-1], tt.want, tt.says)
		}
	}
}

// The order of backends does not matter, nor does anything make more than the worst an outlier.
func TestOutlierLaws(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	cfg := EjectorConfig{FailureShare: -1}
	for range 5000 {
		all := make([]counts, 1+rng.IntN(12))
		for i := range all {
			n := uint64(1 + rng.IntN(400))
			bad := uint64(rng.Float64() * rng.Float64() * float64(n))
			all[i] = counts{n, bad, uint64(rng.Int64N(int64(bad) + 1))}
		}
		causes := judged(cfg, all...)
		order := rng.Perm(len(all))
		mixed := make([]counts, len(all))
		for i, j := range order {
			mixed[i] = all[j]
		}
		best := math.Inf(1)
		for _, c := range all {
			best = min(best, c.badShare())
		}
		for i, cause := range judged(cfg, mixed...) {
			if (cause == "") != (causes[order[i]] == "") {
				t.Fatalf("%v: %q in one order, %q in another", all, cause, causes[order[i]])
			}
			if cause != "" && mixed[i].badShare() == best {
				t.Fatalf("%v: the best is an outlier: %q", all, cause)
			}
		}
	}
}

// medianWithout is what it says, by the slow way.
func TestMedianWithout(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		xs := make([]float64, 2+rng.IntN(7))
		for i := range xs {
			xs[i] = float64(rng.IntN(5))
		}
		slices.Sort(xs)
		i := rng.IntN(len(xs))
		others := slices.Delete(slices.Clone(xs), i, i+1)
		want := (others[(len(others)-1)/2] + others[len(others)/2]) / 2
		if got := medianWithout(xs, xs[i]); got != want {
			t.Fatalf("%v without %v: %v, want %v", xs, xs[i], got, want)
		}
	}
}

// play gives n backends so many results a second each, of which shares are bad, and judges them each
// second. It returns for how many seconds anybody was an outlier, and when the last backend was first.
func play(rng *rand.Rand, seconds, rate int, shares []float64) (outliers, first int) {
	cfg := EjectorConfig{}.withDefaults()
	windows, all := make([]window, len(shares)), make([]counts, len(shares))
	for second := range seconds {
		samples := make([]sample, len(shares))
		for i, share := range shares {
			all[i].results += uint64(rate)
			all[i].bad += binomial(rng, rate, share)
			windows[i], samples[i].counts = windows[i].add(all[i])
		}
		cfg.judge(samples)
		if slices.ContainsFunc(samples, func(s sample) bool { return s.cause != "" }) {
			outliers++
		}
		if samples[len(shares)-1].cause != "" && first == 0 {
			first = second + 1
		}
	}
	return outliers, first
}

// Chance alone makes hardly anybody an outlier: of backends that are alike, at 20 results a second each.
// Envoy's rule without a look at chance would eject one of five nearly always.
func TestChanceIsNoReason(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{2, 3, 5, 10, 30} {
		for _, share := range []float64{0.001, 0.01, 0.05} {
			got, _ := play(rng, 2*3600, 20, slices.Repeat([]float64{share}, n))
			t.Logf("%d backends, %v bad: %d of 7200 s", n, share, got)
			if got > 20 {
				t.Errorf("%d backends, %v bad: somebody is an outlier for %d of 7200 s", n, share, got)
			}
		}
	}
}

// One with 5 % bad results among four and more with 0.1 % is found within ten seconds of 20 results a
// second each, nine times of ten.
func TestOutliersAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{5, 10, 30} {
		var all []int
		for range 200 {
			_, first := play(rng, 30, 20, append(slices.Repeat([]float64{0.001}, n-1), 0.05))
			all = append(all, first)
		}
		slices.Sort(all)
		found := 0
		for _, first := range all {
			if first > 0 && first <= 10 {
				found++
			}
		}
		t.Logf("%d backends: median %d s, 90 %% within %d s, %d of 200 within 10 s", n, all[100], all[180], found)
		if found < 180 {
			t.Errorf("%d backends: %d of 200 were found within 10 s", n, found)
		}
	}
}

// binomial draws how many of n are bad, by the gaps between them.
func binomial(rng *rand.Rand, n int, p float64) (k uint64) {
	for at := 0; ; k++ {
		if at += 1 + int(math.Log(1-rng.Float64())/math.Log1p(-p)); at > n {
			return k
		}
	}
}
