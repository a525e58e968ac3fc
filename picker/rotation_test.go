package picker

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// letters picks n times, with the draw 0 which starts at a cycle's start.
func letters(p lb.Picker, n int) string {
	var out strings.Builder
	for range n {
		out.WriteByte(p.Pick(lb.PickInfo{}).ID()[0])
	}
	return out.String()
}

// eligible returns a set of backends with the given weights.
func eligible(bs []*lb.Backend, weights ...float64) lb.Set {
	set := lbtest.Set(bs...)
	for i := range set.Eligible {
		set.Eligible[i].Weight = weights[i]
	}
	return set
}

func after(p lb.Picker, set lb.Set) lb.Set {
	set.Previous = p
	return set
}

func TestRoundRobinGivesEqualTurns(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 50, 5000} {
		p, s := RoundRobin(lbtest.Set(named(ones(n)...)...)), seeded(uint64(n))
		for range 3 {
			if got := picks(p, n, s); len(got) != n {
				t.Errorf("%d picks met %d of %d backends", n, len(got), n)
			}
		}
	}
	if got := letters(RoundRobin(lbtest.Set(named(9, 1, 5)...)), 7); got != "abcabca" {
		t.Errorf("weights 9, 1, 5: %s, want them ignored", got)
	}
}

func TestRotationsStartAnywhere(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"RoundRobin": RoundRobin, "Weighted": Weighted} {
		got, s := make(map[string]float64), seeded(5)
		for range 6000 {
			got[policy(lbtest.Set(named(3, 2, 1)...)).Pick(s.info()).ID()]++
		}
		want := map[string]float64{id(0): 1, id(1): 1, id(2): 1}
		if name == "Weighted" {
			want = map[string]float64{id(0): 3, id(1): 2, id(2): 1}
		}
		fits(t, got, want)
	}
	got, s := make(map[string]float64), seeded(6)
	for range 300 {
		got[Weighted(eligible(named(1, 1, 1), 1, 1, 1.5)).Pick(s.info()).ID()]++
	}
	if len(got) < 3 {
		t.Errorf("fractions: only %v were ever first", got)
	}
}

// nginx's own example, of its commit 52327e0627f4.
func TestWeightedInterleavesLikeNginx(t *testing.T) {
	if got := letters(Weighted(lbtest.Set(named(5, 1, 1)...)), 14); got != "aabacaaaabacaa" {
		t.Errorf("weights 5, 1, 1: %s", got)
	}
}

// Every window of a cycle's length is exact, whatever the weights and wherever it begins.
func TestWeightedIsExactInEveryWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	cases := [][]int{{3, 2, 1}, {1}, {7}, {100, 100}, {2, 4, 6}, {1000, 3000}, {4095, 1}}
	for range 50 {
		ws := make([]int, 1+rng.IntN(12))
		for i := range ws {
			ws[i] = 1 + rng.IntN(40)
		}
		cases = append(cases, ws)
	}
	for _, ws := range cases {
		set := lbtest.Set(named(ws...)...)
		p, n := Weighted(set), period(set.Eligible)
		seq, s := make([]string, 3*n), seeded(9)
		for i := range seq {
			seq[i] = p.Pick(s.info()).ID()
		}
		window := make(map[string]float64)
		for i, got := range seq {
			window[got]++
			if i < n-1 {
				continue
			}
			for k, c := range set.Eligible {
				if want := float64(n) * c.Weight / sum(set.Eligible); window[c.ID()] != want {
					t.Fatalf("weights %v: %s has %v of the %d turns up to %d, want %v", ws, id(k), window[c.ID()], n, i, want)
				}
			}
			window[seq[i-n+1]]--
		}
	}
}

// Caddy's slots count backends that are down, so that their neighbours get their turns.
func TestWeightedKeepsProportionsWithOneDown(t *testing.T) {
	bs := named(1, 2, 9)
	for down := range bs {
		up := slices.Delete(slices.Clone(bs), down, down+1)
		all := Weighted(lbtest.Set(bs...))
		all.Pick(lb.PickInfo{})
		p := Weighted(after(all, lbtest.Set(up...)))
		n := up[0].Weight() + up[1].Weight()
		got := picks(p, 12*n, seeded(1))
		for _, b := range up {
			if got[b.ID()] != float64(12*b.Weight()) {
				t.Errorf("without %s: %v", bs[down].ID(), got)
			}
		}
	}
}

func TestTurnsAreExactUnderConcurrency(t *testing.T) {
	for _, policy := range []lb.Policy{RoundRobin, Weighted} {
		set := lbtest.Set(named(3, 2, 1)...)
		p := policy(set)
		got, mu, all := make(map[string]float64), sync.Mutex{}, sync.WaitGroup{}
		for g := range uint64(6) {
			all.Go(func() {
				mine := picks(p, 1000, seeded(g))
				mu.Lock()
				defer mu.Unlock()
				for id, n := range mine {
					got[id] += n
				}
			})
		}
		all.Wait()
		for _, c := range p.(*rotation).members {
			if want := 6000 * c.Weight / sum(p.(*rotation).members); got[c.ID()] != want {
				t.Errorf("%s got %v of 6000, want %v", c.ID(), got[c.ID()], want)
			}
		}
	}
}

// Sixty requests land 30, 20 and 10 from whatever start, also if the view is rebuilt at any time
// between them, and requests still use the old one. With fractions all but a turn or two do.
func TestRebuildsOverTheSameSetAreNotNoticed(t *testing.T) {
	for _, scale := range []float64{1, 0.5} {
		for seed := range uint64(100) {
			s := seeded(seed)
			build := func(previous lb.Picker) lb.Picker {
				return Weighted(after(previous, eligible(named(3, 2, 1), 3*scale, 2*scale, 1*scale)))
			}
			old := build(nil)
			p, got := old, make(map[string]float64)
			for i := range 60 {
				if s.Uint64()%4 == 0 {
					old, p = p, build(p)
				}
				use := p
				if i%3 == 0 {
					use = old
				}
				got[use.Pick(s.info()).ID()]++
			}
			for id, want := range map[string]float64{id(0): 30, id(1): 20, id(2): 10} {
				if off := math.Abs(got[id] - want); off > 0 && scale == 1 || off >= 2 {
					t.Fatalf("weights x %v, seed %d: %v, want 30, 20 and 10", scale, seed, got)
				}
			}
		}
	}
}

// flapping rebuilds before every pick, with each subset in turn, and returns the picks of those
// that are in all of them.
func flapping(policy lb.Policy, rounds int, sets ...func() lb.Set) map[string]float64 {
	var p lb.Picker
	got, s := make(map[string]float64), seeded(3)
	for i := range rounds {
		p = policy(after(p, sets[i%len(sets)]()))
		got[p.Pick(s.info()).ID()]++
	}
	return got
}

// With a backend that comes and goes before every pick, or a weight that moves, the others keep
// their proportion: a picker that started anew each time would always pick the first.
func TestPositionsSurviveGrowthAndShrink(t *testing.T) {
	single(t)
	bs := named(4, 2, 1, 1)
	whole := func() lb.Set { return lbtest.Set(bs...) }
	less := func() lb.Set { return lbtest.Set(bs[0], bs[1], bs[3]) }
	warm := func() lb.Set { return eligible(bs, 4, 2, 1.5, 1) } // fractions: smooth
	for name, sets := range map[string][]func() lb.Set{
		"shrink and grow":  {whole, less},
		"rotation, smooth": {whole, warm},
		"all three":        {whole, less, warm},
	} {
		got := flapping(Weighted, 8000, sets...)
		if ratio := got[id(0)] / got[id(1)]; math.Abs(ratio-2) > 0.1 {
			t.Errorf("Weighted, %s: %v, want twice as many for the first as for the second", name, got)
		}
		if ratio := got[id(1)] / got[id(3)]; math.Abs(ratio-2) > 0.1 {
			t.Errorf("Weighted, %s: %v, want twice as many for the second as for the fourth", name, got)
		}
		got = flapping(RoundRobin, 8000, sets...)
		if ratio := got[id(0)] / got[id(3)]; math.Abs(ratio-1) > 0.05 {
			t.Errorf("RoundRobin, %s: %v, want equal turns", name, got)
		}
	}
}

func TestRoundRobinGoesOnBehindTheOneThatLeft(t *testing.T) {
	bs := named(ones(5)...)
	p := RoundRobin(lbtest.Set(bs...))
	if got := letters(p, 2); got != "ab" {
		t.Fatal(got)
	}
	p = RoundRobin(after(p, lbtest.Set(bs[0], bs[1], bs[3], bs[4])))
	if got := letters(p, 5); got != "deabd" {
		t.Errorf("without c: %s, want deabd", got)
	}
	p = RoundRobin(after(p, lbtest.Set(bs...)))
	if got := letters(p, 5); !strings.HasPrefix(got, "e") && !strings.HasPrefix(got, "c") {
		t.Errorf("with c again: %s, want those first that waited longest", got)
	}
}

// A successor over the same backends with the same shares owes the same, and finds a position that
// says so.
func TestDebtsCarryOver(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		bs := named(ones(2 + rng.IntN(6))...)
		ws := make([]float64, len(bs))
		for i := range ws {
			ws[i] = float64(1 + rng.IntN(9))
		}
		p := Weighted(eligible(bs, ws...))
		for range rng.IntN(40) {
			p.Pick(lb.PickInfo{Rand: rng.Uint64()})
		}
		double := slices.Clone(ws) // not alike, but the same shares
		for i := range double {
			double[i] *= 2
		}
		next := Weighted(after(p, eligible(bs, double...)))
		before, after := p.(*rotation).owed(), next.(*rotation).owed()
		for i := range after {
			if math.Abs(before[i]-after[i]) > 1e-9 {
				t.Fatalf("weights %v: owed %v before, %v after", ws, before, after)
			}
		}
		for i, owing := range next.(*rotation).owing {
			if math.Abs(owing) > 1e-9 {
				t.Fatalf("weights %v: no position owes %v, says member %d", ws, before, i)
			}
		}
	}
}

func TestPeriod(t *testing.T) {
	for _, c := range []struct {
		weights []float64
		want    int
	}{
		{[]float64{3, 2, 1}, 6},
		{[]float64{30, 20, 10}, 6},
		{[]float64{5}, 1},
		{[]float64{0.3, 0.3}, 2},
		{[]float64{1, 0.5}, 0},
		{[]float64{4095, 1}, 4096},
		{[]float64{4096, 1}, 0},
		{[]float64{1e6, 1e6, 5e5}, 5},
	} {
		if got := period(eligible(named(ones(len(c.weights))...), c.weights...).Eligible); got != c.want {
			t.Errorf("period of %v is %d, want %d", c.weights, got, c.want)
		}
	}
}
