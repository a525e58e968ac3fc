package autoscale

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPlans(t *testing.T) {
	for _, tt := range []struct {
		name string
		plan Plan
		load Load
		want int
	}{
		{"step, at the threshold", Step(20), Load{Backends: 3, Requests: 20}, 3},
		{"step, above it", Step(20), Load{Backends: 3, Requests: 21}, 4},
		{"step, far above it", Step(20), Load{Backends: 3, Requests: 1e6}, 4},
		{"step, above half of it", Step(20), Load{Backends: 3, Requests: 11}, 3},
		{"step, at half of it", Step(20), Load{Backends: 3, Requests: 10}, 2},
		{"step, idle", Step(20), Load{Backends: 3}, 2},
		{"step, of nothing", Step(0), Load{Backends: 3, Requests: 1}, 3},
		{"each, none", PerBackend(50), Load{Backends: 3}, 0},
		{"each, one", PerBackend(50), Load{Requests: 1}, 1},
		{"each, full", PerBackend(50), Load{Requests: 100}, 2},
		{"each, over", PerBackend(50), Load{Requests: 101}, 3},
		{"each, of nothing", PerBackend(-1), Load{Requests: 7}, 7},
	} {
		next, got := tt.plan.Next(tt.load)
		if _, again := next.Next(tt.load); got != tt.want || again != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// play moves n backends through intervals of load, and returns how many there were after each.
func play(cfg Config, n int, requests func(i int) int64, intervals int) []int {
	now, plan := time.Unix(1e9, 0), cfg.Plan
	plan, _ = plan.Next(Load{Now: now, Backends: n, Fit: n})
	sizes := make([]int, intervals)
	for i := range sizes {
		now = now.Add(cfg.Interval)
		plan, n = plan.Next(Load{Now: now, Backends: n, Fit: n, Requests: requests(i), Interval: cfg.Interval})
		sizes[i] = n
	}
	return sizes
}

// TestSteadyLoadDoesNotFlap plays every steady load: the number of backends moves in one
// direction only.
func TestSteadyLoadDoesNotFlap(t *testing.T) {
	for _, plan := range []Plan{nil, PerBackend(7), Step(1)} {
		cfg := Config{Plan: plan, Min: 2, Max: 12}.defaults()
		for load := range int64(100) {
			sizes := play(cfg, 5, func(int) int64 { return load }, 100)
			ups, downs := 0, 0
			for i := 1; i < len(sizes); i++ {
				ups += max(0, sizes[i]-sizes[i-1])
				downs += max(0, sizes[i-1]-sizes[i])
			}
			if ups > 0 && downs > 0 {
				t.Errorf("load %d: %v", load, sizes)
			}
		}
	}
}

// TestPatientLaws plays random loads: never beyond the bounds, down by one at most and not before
// the cooldown since the last move is over.
func TestPatientLaws(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		cfg := Config{Min: 1 + random.IntN(3), Max: 3 + random.IntN(8)}
		if random.IntN(2) == 0 {
			cfg.Plan = PerBackend(1 + random.IntN(20))
		}
		cfg = cfg.defaults()
		n := cfg.Min + random.IntN(cfg.Max-cfg.Min+1)
		quiet := random.Float64()
		sizes := play(cfg, n, func(int) int64 {
			if random.Float64() < quiet {
				return 0
			}
			return random.Int64N(100)
		}, 200)
		moved := -1
		for i, size := range sizes {
			if size < cfg.Min || size > cfg.Max || size < n-1 {
				t.Fatalf("from %d to %d of %d to %d", n, size, cfg.Min, cfg.Max)
			}
			if size < n && i-moved < 4 {
				t.Fatalf("down in interval %d, after a move in %d", i, moved)
			}
			if size != n {
				moved = i
			}
			n = size
		}
	}
}
