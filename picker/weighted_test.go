package picker

import (
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
)

// full says whether the full tier of proofs was asked for, which takes minutes.
func full() bool { return os.Getenv("LB_FULL") != "" }

// tier returns the size of a test in the quick tier and in the full one.
func tier(quick, whole int) int {
	if full() {
		return whole
	}
	return quick
}

// weightings are ways to draw the weights of n backends, from the ordinary to the cruel.
func weightings() map[string]func(n int, rng *rand.Rand) []float64 {
	each := func(f func(i int, rng *rand.Rand) float64) func(int, *rand.Rand) []float64 {
		return func(n int, rng *rand.Rand) []float64 {
			ws := make([]float64, n)
			for i := range ws {
				ws[i] = f(i, rng)
			}
			return ws
		}
	}
	small := func(_ int, rng *rand.Rand) float64 { return float64(1 + rng.IntN(5)) }
	light := each(func(_ int, rng *rand.Rand) float64 { return float64(1 + rng.IntN(600)) })
	return map[string]func(int, *rand.Rand) []float64{
		"small":    each(small),
		"uniform":  each(func(_ int, rng *rand.Rand) float64 { return float64(1 + rng.IntN(65535)) }),
		"zipf":     each(func(i int, _ *rand.Rand) float64 { return math.Ceil(65535 / float64(i+1)) }),
		"decades":  each(func(_ int, rng *rand.Rand) float64 { return math.Ceil(math.Pow(65535, rng.Float64())) }),
		"two ways": each(func(i int, _ *rand.Rand) float64 { return []float64{1, 65535}[i/4%2] }),
		"warming":  each(func(i int, rng *rand.Rand) float64 { return small(i, rng) * max(0.1, rng.Float64()) }),
		"one heavy": func(n int, rng *rand.Rand) []float64 {
			ws := light(n, rng)
			ws[rng.IntN(n)] = 65535
			return ws
		},
	}
}

// offBy lets p pick, and returns the most turns that anybody is ahead of its share and behind it.
func offBy(p lb.Picker, set lb.Set, turns int) (ahead, behind float64) {
	index, got := make(map[*lb.Backend]int), make([]float64, len(set.Eligible))
	share, total := make([]float64, len(got)), sum(set.Eligible)
	for i, c := range set.Eligible {
		index[c.Backend], share[i] = i, c.Weight/total
	}
	every := max(1, len(got)/8) // nobody falls behind by more than an eighth of a turn meanwhile, on average
	for n := 1; n <= turns; n++ {
		i := index[p.Pick(lb.PickInfo{})]
		got[i]++
		ahead = max(ahead, got[i]-float64(n)*share[i])
		if n%every == 0 {
			for k := range got {
				behind = max(behind, float64(n)*share[k]-got[k])
			}
		}
	}
	return ahead, behind
}

// From the cycle's start on, for twenty cycles, nobody is more than 1-1/n turns ahead or two
// behind, where all weights come out in a cycle. Elsewhere nobody is three off, where a cycle of
// gRPC's strides has a heavy backend fifty behind.
func TestWeightedKeepsItsBounds(t *testing.T) {
	most := tier(20_000, 5_000_000)
	for name, draw := range weightings() {
		for seed := range uint64(tier(3, 12)) {
			rng := rand.New(rand.NewPCG(seed, 7))
			n := 1 + rng.IntN(200)
			set := eligible(named(ones(n)...), draw(n, rng)...)
			r := Weighted(set).(*rotation)
			turns := min(20*len(r.order), most)
			if r.rests != nil {
				turns = most
			}
			ahead, behind := offBy(r, set, turns)
			lead, lag := 1-1/float64(n)+1e-6, 2.0
			if r.rests != nil {
				lead, lag = 3, 3
			}
			if ahead > lead || behind >= lag {
				t.Errorf("%s, seed %d: of %d backends some are %.2f turns ahead and %.2f behind; want at most %.2f and %.2f", name, seed, n, ahead, behind, lead, lag)
			}
		}
	}
}

// After as many picks as a cycle has turns, everybody has its due, and nothing is owed.
func TestACycleLeavesNoDebt(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range tier(20, 500) {
		ws := make([]float64, 1+rng.IntN(60))
		for i := range ws {
			ws[i] = float64(1 + rng.IntN(60))
		}
		set := eligible(named(ones(len(ws))...), ws...)
		r := Weighted(set).(*rotation)
		for i := range 3 * len(r.order) {
			r.Pick(lb.PickInfo{})
			if at, _ := r.at(); at != (i+1)%len(r.order) {
				t.Fatalf("weights %v: after %d picks at position %d of %d", ws, i+1, at, len(r.order))
			}
		}
		for i, d := range r.owed() {
			if d != 0 {
				t.Errorf("weights %v: %v turns are owed to member %d after three cycles", ws, d, i)
			}
		}
	}
}

// However many goroutines pick, together they pick what one would have.
func TestTotalsAreExactUnderConcurrency(t *testing.T) {
	for name, draw := range weightings() {
		rng := rand.New(rand.NewPCG(5, 5))
		n := 2 + rng.IntN(60)
		bs, ws := named(ones(n)...), draw(n, rng)
		each := tier(500, 100_000)
		want := counts(Weighted(eligible(bs, ws...)), 16*each)
		p, parts, all := Weighted(eligible(bs, ws...)), make([]map[string]float64, 16), sync.WaitGroup{}
		for g := range parts {
			all.Go(func() { parts[g] = counts(p, each) })
		}
		all.Wait()
		for id, n := range want {
			for _, part := range parts {
				n -= part[id]
			}
			if n != 0 {
				t.Errorf("%s: 16 goroutines gave %s %v picks less than one", name, id, n)
			}
		}
	}
}

func counts(p lb.Picker, n int) map[string]float64 {
	got := make(map[string]float64)
	for range n {
		got[p.Pick(lb.PickInfo{}).ID()]++
	}
	return got
}

// One heavy backend among many light ones makes no pick slow: gRPC's strides make a thousand
// offers a turn here. The longest row of offers is bounded, too.
func TestOffersAreBounded(t *testing.T) {
	for name, draw := range weightings() {
		for _, n := range []int{2, 10, 200, 1000, 3000} {
			rng := rand.New(rand.NewPCG(9, 9))
			r := Weighted(eligible(named(ones(n)...), draw(n, rng)...)).(*rotation)
			if r.rests == nil {
				continue
			}
			picks, before, longest := 2*len(r.order), uint64(0), uint64(0)
			for range picks {
				r.Pick(lb.PickInfo{})
				offers := r.rests.offers.Load()
				before, longest = offers, max(longest, offers-before)
			}
			if mean := float64(before) / float64(picks); mean > 0.6 || longest > uint64(2*n) {
				t.Errorf("%s, %d backends: %.2f offers per pick, %d in a row", name, n, mean, longest)
			}
		}
	}
}

// A cycle is laid out as nginx would: who has earned most has the turn.
func TestInterleaveIsSmoothWeightedRoundRobin(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for range tier(100, 3000) {
		turns, cycle := make([]int, 1+rng.IntN(20)), 0
		for i := range turns {
			turns[i] = rng.IntN(1 + rng.IntN(30))
			cycle += turns[i]
		}
		spares := rng.IntN(5)
		cycle += spares
		want := nginx(append(slices.Clone(turns), spares), cycle)
		for i, w := range want {
			if w == int32(len(turns)) {
				want[i] = spare
			}
		}
		if got := interleave(turns, cycle, 0); !slices.Equal(got, want) {
			t.Fatalf("turns %v and %d spare: %v, want %v", turns, spares, got, want)
		}
	}
}

// nginx is the algorithm of ngx_http_upstream_round_robin.c, as it stands there.
func nginx(weights []int, cycle int) []int32 {
	order, credit := make([]int32, cycle), make([]int, len(weights))
	for t := range order {
		best := 0
		for i, w := range weights {
			if credit[i] += w; credit[i] > credit[best] || credit[i] == credit[best] && i < best {
				best = i
			}
		}
		credit[best] -= cycle
		order[t] = int32(best)
	}
	return order
}

// Whoever has a weight has picks, however small: also one in a hundred million.
func TestTheLightestIsNotForgotten(t *testing.T) {
	set := eligible(named(1, 1, 1), 1e6, 1e6, 0.01)
	r := Weighted(set).(*rotation)
	if r.rests == nil {
		t.Fatal("these weights come out in no cycle")
	}
	got := make(map[string]float64)
	for range 3 << 32 / r.rate(2) {
		got[r.rests.next().ID()]++
	}
	if got[id(2)] == 0 {
		t.Errorf("spare turns: %v, want some for the lightest", got)
	}
}

// rate returns a member's claim of the spare turns.
func (r *rotation) rate(member int) uint64 {
	i := slices.IndexFunc(r.rests.claims, func(c claim) bool { return c.member == member })
	return r.rests.claims[i].rate
}

// What is owed is what was not given, also with spare turns, and a successor with the same shares
// owes the same.
func TestOwedIsWhatIsMissing(t *testing.T) {
	for name, draw := range weightings() {
		rng := rand.New(rand.NewPCG(8, 8))
		bs := named(ones(1 + rng.IntN(26))...)
		ws := draw(len(bs), rng)
		set := eligible(bs, ws...)
		r, got := Weighted(set).(*rotation), make(map[*lb.Backend]float64)
		for n := 1.0; n <= 5000; n++ {
			got[r.Pick(lb.PickInfo{})]++
			if rng.IntN(50) > 0 {
				continue
			}
			for i, d := range r.owed() {
				want := n*ws[i]/sum(set.Eligible) - got[bs[i]]
				if math.Abs(d-want) > 1e-6 {
					t.Fatalf("%s: after %v picks %v is owed to %s, says it, want %v", name, n, d, bs[i].ID(), want)
				}
			}
		}
		next := Weighted(after(r, eligible(bs, doubled(ws)...))).(*rotation)
		for i, d := range next.owed() {
			if math.Abs(d-r.owed()[i]) > 1e-6 {
				t.Errorf("%s: %v was owed to %s, its successor says %v", name, r.owed()[i], bs[i].ID(), d)
			}
		}
	}
}

func doubled(ws []float64) []float64 {
	double := slices.Clone(ws)
	for i := range double {
		double[i] *= 2
	}
	return double
}

// nearest finds what trying all positions finds.
func TestNearestIsNearest(t *testing.T) {
	for name, draw := range weightings() {
		for seed := range uint64(5) {
			rng := rand.New(rand.NewPCG(seed, 4))
			n := 2 + rng.IntN(8)
			r, debt := Weighted(eligible(named(ones(n)...), draw(n, rng)...)).(*rotation), make([]float64, n)
			for i := range debt {
				debt[i] = rng.NormFloat64()
			}
			distance := func(at int) (sum float64) {
				for i, d := range r.debts(at) {
					sum += (d - debt[i]) * (d - debt[i])
				}
				return sum
			}
			found := distance(r.nearest(debt))
			for range 200 {
				if at := rng.IntN(len(r.order)); distance(at) < found-1e-6 {
					t.Fatalf("%s: position %d is nearer to %v", name, at, debt)
				}
			}
		}
	}
}

// While weights are others at every few picks, each has its share all the same.
func TestSharesHoldWhileAllIsInFlux(t *testing.T) {
	single(t)
	for _, every := range []int{1, 2, 5, 17} {
		bs := named(ones(12)...)
		got, due, rng := make(map[string]float64), make(map[string]float64), rand.New(rand.NewPCG(2, 9))
		var p lb.Picker
		for i := range tier(600, 30_000) {
			if i%every == 0 {
				ws := make([]float64, len(bs))
				for k := range ws {
					ws[k] = float64(1+k%5) * (0.5 + float64((i/every*(k+3))%97)/97)
				}
				set := eligible(bs, ws...)
				p = Weighted(after(p, set))
			}
			members := p.(*rotation).members
			for _, c := range members {
				due[c.ID()] += c.Weight / sum(members)
			}
			got[p.Pick(lb.PickInfo{Rand: rng.Uint64()}).ID()]++
		}
		for id, want := range due {
			if math.Abs(got[id]-want) > 4 {
				t.Errorf("a new view every %d picks: %s got %v picks, want %.1f", every, id, got[id], want)
			}
		}
	}
}

// What is owed adds up to nothing, whoever comes or goes: else all would be owed, or all owe.
func TestDebtsAddUpToNothing(t *testing.T) {
	for name, draw := range weightings() {
		rng := rand.New(rand.NewPCG(6, 1))
		bs := named(ones(20)...)
		var p lb.Picker
		for range 50 {
			from := rng.IntN(10)
			some := bs[from : from+2+rng.IntN(9)]
			p = Weighted(after(p, eligible(some, draw(len(some), rng)...)))
			for range 1 + rng.IntN(30) {
				p.Pick(lb.PickInfo{Rand: rng.Uint64()})
			}
			total := 0.0
			for _, d := range p.(*rotation).owed() {
				total += d
			}
			if math.Abs(total) > 1e-6 {
				t.Fatalf("%s: %v turns are owed in all", name, total)
			}
		}
	}
}

// A picker that is built anew over the same backends at every few picks, while old ones are in
// use, picks what one would have that is not.
func TestSuccessorsGoOnWhereTheyWere(t *testing.T) {
	for name, draw := range weightings() {
		rng := rand.New(rand.NewPCG(7, 2))
		bs := named(ones(200)...)
		ws := draw(len(bs), rng)
		alone, old := Weighted(eligible(bs, ws...)), Weighted(eligible(bs, ws...))
		now := old
		for i := range tier(10_000, 100_000) {
			if rng.IntN(200) == 0 {
				old, now = now, Weighted(after(now, eligible(bs, ws...)))
			}
			use := []lb.Picker{old, now}[rng.IntN(2)]
			if got, want := use.Pick(lb.PickInfo{}), alone.Pick(lb.PickInfo{}); got != want {
				t.Fatalf("%s: pick %d is %s, want %s", name, i, got.ID(), want.ID())
			}
		}
	}
}

// Backends that are alike often stand together. Their rests do not, so that nobody waits for a
// thousand offers to be declined.
func TestNeighboursStandApart(t *testing.T) {
	for _, n := range []int{100, 1000, 10_000} {
		ws := make([]float64, n)
		for i := range ws {
			ws[i] = []float64{1, 65535}[2*i/n]
		}
		r := Weighted(eligible(named(ones(n)...), ws...)).(*rotation)
		before, longest := uint64(0), uint64(0)
		for range 5 * n {
			r.rests.next()
			offers := r.rests.offers.Load()
			before, longest = offers, max(longest, offers-before)
		}
		t.Log(n, longest)
		if longest > 10 {
			t.Errorf("of %d backends somebody waited for %d offers", n, longest)
		}
	}
}
