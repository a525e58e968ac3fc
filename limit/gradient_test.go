package limit

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever windows there are, the limit stays within its bounds, falls by half at most and grows by
// its square root, but for looks.
func TestTheLimitStaysWithinItsBounds(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		g := gradient{min: float64(1 + r.IntN(20)), max: float64(20 + r.IntN(1000))}
		g.limit = g.min + r.Float64()*(g.max-g.min)
		for range 300 {
			w := window{latency: r.Float64() * 45, inFlight: r.Float64() * 2 * g.limit, refused: r.IntN(2) == 0}
			next := g.next(w)
			if !(next.limit >= g.min && next.limit <= g.max) {
				t.Fatalf("seed %d: a limit of %v, want %v to %v", seed, next.limit, g.min, g.max)
			}
			if g.whole+next.whole == 0 && (next.limit < g.limit/2 || next.limit > g.limit+math.Sqrt(g.limit)) {
				t.Fatalf("seed %d: from %v to %v", seed, g.limit, next.limit)
			}
			g = next
		}
	}
}

// A limit that is not used does not grow, and does not fall while latency is as usual.
func TestAnUnusedLimitStays(t *testing.T) {
	g := gradient{min: 5, max: 1000, limit: 50}
	for range 100 {
		g = g.next(window{latency: 23, inFlight: 10})
	}
	if g.limit != 50 {
		t.Errorf("it became %v", g.limit)
	}
}

// run tries a limit in a bubble.
func run(t *testing.T, cfg AdaptiveConfig, seed uint64, phases ...phase) (all []figures) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPlaces(cfg.withDefaults())
		all = try(ours{p}, seed, phases...)
		for i, f := range all {
			if f.low < p.gradientMin() || f.high > int(p.gradient.max) {
				t.Errorf("%s: a limit of %d to %d", phases[i].name, f.low, f.high)
			}
		}
	})
	return all
}

func (p *places) gradientMin() int { return int(p.gradient.min) }

// warm is a time in which a limit sees the backend at its best.
func warm(p phase) phase {
	p.name, p.long, p.load, p.minor = "warm", 5*time.Second, 0.5, 0
	return p
}

// Under more load than there are places, the limit finds their number: it lets no place be idle, and
// few wait; it does so within two seconds, or twenty windows of a hundred answers, and stays there.
func TestTheLimitFindsTheCapacity(t *testing.T) {
	for _, places := range []int{1, 4, 10, 60} {
		for _, spread := range []float64{0, 1} {
			for _, load := range []float64{1.3, 4} {
				p := phase{"", 6 * time.Second, load, places, 10 * time.Millisecond, spread, 0}
				f := run(t, AdaptiveConfig{}, uint64(places), warm(p), p)[1]
				c, used, soon := float64(places), 0.92, 2*time.Second
				if places < 10 { // by chance some are idle
					used, soon = 0.84, soon+4*time.Second/time.Duration(places)
				}
				if f.limit < c || f.limit > 1.6*c+10 {
					t.Errorf("%d places, spread %v, load %v: a limit of %.1f", places, spread, load, f.limit)
				}
				if f.good < used || f.spread > 0.12*f.limit+5 || f.within > soon {
					t.Errorf("%d places, spread %v, load %v: %.3f good, limit %.1f ± %.1f after %v", places, spread, load, f.good, f.limit, f.spread, f.within)
				}
			}
		}
	}
}

// Where the limit has never seen the backend but with too much to do, it looks, and finds out.
func TestTheLimitFindsTheCapacityInTheMidstOfIt(t *testing.T) {
	for _, places := range []int{3, 10} {
		for _, spread := range []float64{0, 1} {
			p := phase{"", 20 * time.Second, 3, places, 10 * time.Millisecond, spread, 0}
			f, c := run(t, AdaptiveConfig{}, uint64(places), p)[0], float64(places)
			if f.good < 0.8 || f.limit < c || f.limit > 1.6*c+10 {
				t.Errorf("%d places, spread %v: %.3f good, limit %.1f ± %.1f", places, spread, f.good, f.limit, f.spread)
			}
		}
	}
}

// Five minutes of it do not make it forget what is usual.
func TestOverloadIsNotTakenForUsual(t *testing.T) {
	f := run(t, AdaptiveConfig{}, 5, phase{"", 5 * time.Minute, 2, 10, 50 * time.Millisecond, 1, 0})[0]
	if f.limit > 20 || f.spread > 4 || f.good < 0.95 {
		t.Errorf("limit %.1f ± %.1f, %.3f good", f.limit, f.spread, f.good)
	}
}

// While there are enough places, next to nothing is refused, however unevenly requests come and
// whatever was before.
func TestNothingIsRefusedWithoutNeed(t *testing.T) {
	for _, places := range []int{1, 4, 40} {
		service := 20 * time.Millisecond
		all := run(t, AdaptiveConfig{}, uint64(places),
			phase{"well", 20 * time.Second, 0.5, places, service, 1, 0},
			phase{"too much", 10 * time.Second, 3, places, service, 1, 0},
			phase{"well again", 30 * time.Second, 0.5, places, service, 1, 0})
		if all[0].refused > 0.01 || all[2].refused > 0.015 {
			t.Errorf("%d places: %.3f were refused before and %.3f after", places, all[0].refused, all[2].refused)
		}
	}
}

// A backend that serves more slowly, and has as many places, is used to the full, soon, and when it
// is well again nothing remains of it. One that loses half of its places gets half.
func TestTheLimitRecovers(t *testing.T) {
	for seed := range uint64(2) {
		all := run(t, AdaptiveConfig{}, seed, scenarios["slower"]...)
		if f := all[1]; f.good < 0.9 || f.limit < 20 || f.limit > 42 {
			t.Errorf("seed %d: slower: limit %.1f, %.3f good", seed, f.limit, f.good)
		}
		if f := all[2]; f.good < 0.97 || f.refused > 0.02 {
			t.Errorf("seed %d: well again: limit %.1f, %.3f good, %.3f refused", seed, f.limit, f.good, f.refused)
		}
		all = run(t, AdaptiveConfig{}, seed, scenarios["half is gone"]...)
		if f := all[1]; f.good < 0.95 || f.limit > 42 || f.p99 > 6 {
			t.Errorf("seed %d: half: limit %.1f, %.3f good", seed, f.limit, f.good)
		}
		if f := all[2]; f.good < 0.98 || f.refused > 0.02 {
			t.Errorf("seed %d: whole again: limit %.1f, %.3f good, %.3f refused", seed, f.limit, f.good, f.refused)
		}
	}
}

// Requests that take longer of themselves are no sign of too many.
func TestOtherRequestsAreNotTooMany(t *testing.T) {
	f := run(t, AdaptiveConfig{}, 1, scenarios["other requests"]...)[1]
	if f.good < 0.98 || f.within > 15*time.Second {
		t.Errorf("limit %.1f after %v, %.3f good", f.limit, f.within, f.good)
	}
}

// At the least limit there is always a place for somebody, and a way up.
func TestTheLeastLimitIsNoTrap(t *testing.T) {
	f := run(t, AdaptiveConfig{Min: 1, Max: 1}, 1, phase{"", 10 * time.Second, 5, 3, 10 * time.Millisecond, 1, 0})[0]
	if math.Abs(f.limit-1) > 1e-6 || f.good < 0.3 {
		t.Errorf("limit %.1f, %.3f of three places used, want a third", f.limit, f.good)
	}
	f = run(t, AdaptiveConfig{Min: 1, Start: 1}, 1, phase{"", 15 * time.Second, 2, 50, 10 * time.Millisecond, 1, 0})[0]
	if f.good < 0.95 {
		t.Errorf("from one place up: limit %.1f, %.3f good", f.limit, f.good)
	}
}

// Whoever is less important is refused first: while the important ones alone are not too many, next
// to none of them is; and if there are none, the others have all of the backend.
func TestLessImportantRequestsAreRefusedFirst(t *testing.T) {
	for _, places := range []int{5, 20, 60} {
		for _, load := range []float64{1.5, 3} {
			p := phase{"", 10 * time.Second, load, places, 10 * time.Millisecond, 1, 1 - 0.6/load}
			f := run(t, AdaptiveConfig{}, uint64(places), warm(p), p)[1]
			if f.important > 0.04 || f.refused < 0.25 || f.good < 0.88 {
				t.Errorf("%d places, load %v: %.4f of the important were refused, %.3f of all, %.3f good", places, load, f.important, f.refused, f.good)
			}
		}
		p := phase{"", 10 * time.Second, 2, places, 10 * time.Millisecond, 1, 1}
		f := run(t, AdaptiveConfig{}, uint64(places), warm(p), p)[1]
		if f.good < 0.82 {
			t.Errorf("%d places, none important: %.3f good", places, f.good)
		}
	}
}
