package estimate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// reference is At, written down as its comment has it.
func reference(seen []sample, inFlight int64) time.Duration {
	seen = slices.Clone(seen[max(0, len(seen)-48):])
	if len(seen) == 0 {
		return 0
	}
	by := func(s sample) int64 { return max(s.inFlight-inFlight, inFlight-s.inFlight) }
	slices.SortFunc(seen, func(a, b sample) int { return int(by(a) - by(b)) })
	end := min(7, len(seen))
	for end < len(seen) && by(seen[end]) == by(seen[end-1]) {
		end++
	}
	seen = seen[:end]
	most := slices.MaxFunc(seen, func(a, b sample) int { return int(a.inFlight - b.inFlight) }).inFlight
	slices.SortFunc(seen, func(a, b sample) int { return int(a.latency - b.latency) })
	median := seen[(end-1)/2].latency
	if most < inFlight {
		median = time.Duration(float64(median) * float64(inFlight+1) / float64(most+1))
	}
	return median
}

func TestEstimatesAreTheMediansNearby(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 300 {
		var l Latencies
		var seen []sample
		spread := 1 + rng.Int64N(20)
		for range rng.IntN(120) {
			s := sample{rng.Int64N(spread), time.Duration(1 + rng.Int64N(1000))}
			seen = append(seen, s)
			l.Add(s.inFlight, s.latency)
			at := rng.Int64N(2 * spread)
			if got, want := l.At(at), reference(seen, at); got != want {
				t.Fatalf("%v at %d of %v, want %v", got, at, seen, want)
			}
		}
	}
}

func TestEstimates(t *testing.T) {
	var l Latencies
	if l.At(3) != 0 {
		t.Error("an estimate of nothing")
	}
	l.Add(0, 10)
	if got := []time.Duration{l.At(0), l.At(1), l.At(9)}; !slices.Equal(got, []time.Duration{10, 20, 100}) {
		t.Errorf("outgrown: %v", got)
	}
	for range 48 { // the first is forgotten; what is left stays for ever
		l.Add(4, 50)
	}
	if got := []time.Duration{l.At(0), l.At(4), l.At(9)}; !slices.Equal(got, []time.Duration{50, 50, 100}) {
		t.Errorf("full: %v", got)
	}
	if n := testing.AllocsPerRun(100, func() { l.Add(2, 3); l.At(2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAt(b *testing.B) {
	var l Latencies
	for i := range int64(48) {
		l.Add(i*7%13, time.Duration(i*31%17))
	}
	for b.Loop() {
		l.At(6)
	}
}
