package picker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/lbtest"
)

// served are backends whose loads the test keeps as a balancer does.
type served struct {
	bs    []*lb.Backend
	loads map[*lb.Backend]*live.Load
	m     int // in flight
	busy  []*lb.Backend
}

func serving(ws ...int) *served {
	s := &served{loads: make(map[*lb.Backend]*live.Load)}
	for i, w := range ws {
		load := new(live.Load)
		name := fmt.Sprintf("b%05d", i)
		b := lb.Must(lb.NewBackend(lb.Spec{ID: name, URL: "http://" + name, Weight: w}, load))
		s.bs, s.loads[b] = append(s.bs, b), load
	}
	return s
}

func (s *served) enter(b *lb.Backend) {
	s.loads[b].Enter(0)
	s.busy = append(s.busy, b)
	s.m++
}

// leave ends one request, whichever.
func (s *served) leave(rng *rand.Rand) {
	i := rng.IntN(len(s.busy))
	s.loads[s.busy[i]].Leave()
	s.busy[i] = s.busy[len(s.busy)-1]
	s.busy, s.m = s.busy[:len(s.busy)-1], s.m-1
}

// zipf draws one of n keys, key k with a chance in proportion to 1/k.
func zipf(n int) func(*rand.Rand) uint64 {
	sums, total := make([]float64, n), 0.0
	for k := range sums {
		total += 1 / float64(k+1)
		sums[k] = total
	}
	return func(rng *rand.Rand) uint64 {
		return mix(uint64(sort.SearchFloat64s(sums, rng.Float64()*total)) + 1)
	}
}

// holdsBound checks that no request goes where it would be one too many: while requests only come,
// when nobody is over the bound ever, and then while as many end as come.
func holdsBound(policy lb.Policy, c float64, seed uint64, ws ...int) error {
	s, rng, draw := serving(ws...), rand.New(rand.NewPCG(seed, 1)), zipf(10_000)
	p, total := policy(lbtest.Set(s.bs...)), 0.0
	for _, w := range ws {
		total += float64(w)
	}
	for step := range 8 * len(ws) {
		if step >= 4*len(ws) {
			s.leave(rng)
		}
		bound := func(b *lb.Backend) int64 {
			return int64(math.Ceil(c * float64(s.m+1) * float64(b.Weight()) / total))
		}
		b := p.Pick(lb.PickInfo{Rand: draw(rng)})
		if b == nil {
			return fmt.Errorf("step %d: no pick, with %d in flight", step, s.m)
		}
		most := bound(b)
		if s.enter(b); b.InFlight() > most {
			return fmt.Errorf("step %d: %d on %s of %d, want at most %d", step, b.InFlight(), b.ID(), s.m, most)
		}
	}
	return nil
}

// hashing are policies that can be walked.
func hashing() map[string]lb.Policy {
	return map[string]lb.Policy{
		"Maglev":     lb.Must(Maglev(MaglevConfig{Key: drawn})),
		"Ring":       lb.Must(Ring(RingConfig{Key: drawn})),
		"Rendezvous": Rendezvous(RendezvousConfig{Key: drawn}),
	}
}

// Five hundred backends and Zipf's keys, the first of which alone is a tenth of all requests.
func TestLoadsAreBounded(t *testing.T) {
	weights := [][]int{ones(60), mixed(60), {1, 1}, {1, 100}, {3}}
	if full() {
		weights = append(weights, ones(500), mixed(500))
	}
	for name, inner := range hashing() {
		for _, seed := range seedsOfTier() {
			for _, c := range []float64{1, 1.25, 2} {
				for _, ws := range weights {
					if err := holdsBound(lb.Must(BoundedLoad(c, inner)), c, seed, ws...); err != nil {
						t.Errorf("%s, c %v, seed %d, %d backends: %v", name, c, seed, len(ws), err)
					}
				}
			}
			if err := holdsBound(lb.Must(BoundedLoad(1.25, inner)), 1.25, seed, ones(500)...); err != nil {
				t.Errorf("%s, seed %d: %v", name, seed, err)
			}
		}
	}
}

func TestDefectsOfBoundedLoadsAreFound(t *testing.T) {
	for name, inner := range hashing() {
		if holdsBound(inner, 1.25, 1, ones(500)...) == nil {
			t.Errorf("%s without a bound holds it", name)
		}
		if holdsBound(lb.Must(BoundedLoad(1.5, inner)), 1.25, 1, ones(500)...) == nil {
			t.Errorf("%s: a looser bound holds the tighter", name)
		}
		if holdsBound(unweighted(lb.Must(BoundedLoad(1.25, inner))), 1.25, 1, mixed(500)...) == nil {
			t.Errorf("%s: a bound without weights holds the one with", name)
		}
	}
}

// Below the bound a request goes where inner says; over it, to the next of its key.
func TestBoundedLoadsWalkTheKeysOrder(t *testing.T) {
	for name, inner := range hashing() {
		s, d := serving(mixed(50)...), draws(1)
		p, plain := lb.Must(BoundedLoad(1.25, inner))(lbtest.Set(s.bs...)), inner(lbtest.Set(s.bs...))
		rng := rand.New(rand.NewPCG(1, 1))
		for range 300 {
			s.enter(s.bs[rng.IntN(len(s.bs))])
		}
		total, moved := sum(lbtest.Set(s.bs...).Eligible), 0
		for range 1000 {
			info := lb.PickInfo{Rand: d.next()}
			got, want, passed := p.Pick(info), plain.Pick(info), info
			for float64(want.InFlight()) >= 1.25*301*float64(want.Weight())/total {
				passed = passed.WithTried(want)
				want = plain.Pick(passed)
				moved++
			}
			if got != want {
				t.Fatalf("%s: picked %s, the key's next below the bound is %s", name, got.ID(), want.ID())
			}
		}
		if moved == 0 {
			t.Errorf("%s: the bound was never met", name)
		}
	}
}

// For a retry those tried are gone, and the bound is of the others.
func TestBoundedRetries(t *testing.T) {
	for name, inner := range hashing() {
		s := serving(1, 1, 1)
		for range 10 {
			s.enter(s.bs[1])
			s.enter(s.bs[2])
		}
		p, d := lb.Must(BoundedLoad(1, inner))(lbtest.Set(s.bs...)), draws(1)
		for range 100 {
			info := lb.PickInfo{Rand: d.next()}
			if b := p.Pick(info); b != s.bs[0] {
				t.Fatalf("%s: picked %s, though only one is below the bound", name, b.ID())
			}
			if b := p.Pick(info.WithTried(s.bs[0])); b == nil || b == s.bs[0] {
				t.Fatalf("%s: the retry picked %v", name, b)
			}
			if b := p.Pick(info.WithTried(s.bs...)); b != nil {
				t.Fatalf("%s: picked %s, though all were tried", name, b.ID())
			}
		}
	}
}

// Together, goroutines overshoot by fewer than there are of them.
func TestBoundsUnderConcurrency(t *testing.T) {
	const goroutines, each = 4, 500
	for name, inner := range hashing() {
		s, draw := serving(ones(50)...), zipf(1000)
		p := lb.Must(BoundedLoad(1.25, inner))(lbtest.Set(s.bs...))
		var all sync.WaitGroup
		for g := range uint64(goroutines) {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(g, 2))
				for range each {
					s.loads[p.Pick(lb.PickInfo{Rand: draw(rng)})].Enter(0)
				}
			})
		}
		all.Wait()
		bound := int64(math.Ceil(1.25*goroutines*each/50)) + goroutines - 1
		for _, b := range s.bs {
			if b.InFlight() > bound {
				t.Errorf("%s: %d in flight on %s, want at most %d", name, b.InFlight(), b.ID(), bound)
			}
		}
	}
}

// Others may fill all backends up between the count and the walk: somebody is picked all the same,
// and not who has most.
func TestRequestsThatOthersOvertake(t *testing.T) {
	s := serving(2, 1, 1)
	overtaken := func(info lb.PickInfo) (uint64, bool) {
		for i, b := range s.bs {
			for range 10 + i {
				s.loads[b].Enter(0)
			}
		}
		return info.Rand, true
	}
	for name, inner := range map[string]lb.Policy{
		"Maglev":     lb.Must(Maglev(MaglevConfig{Key: overtaken, Size: 257})),
		"Ring":       lb.Must(Ring(RingConfig{Key: overtaken})),
		"Rendezvous": Rendezvous(RendezvousConfig{Key: overtaken}),
		"Prefer":     Prefer(func(*lb.Backend) bool { return false }, Rendezvous(RendezvousConfig{Key: overtaken})),
	} {
		p, d := lb.Must(BoundedLoad(1, inner))(lbtest.Set(s.bs...)), draws(1)
		for range 10 {
			if b := p.Pick(lb.PickInfo{Rand: d.next()}); b != s.bs[0] {
				t.Fatalf("%s: picked %v, not the idlest for its weight", name, b)
			}
			if b := p.Pick(lb.PickInfo{Rand: d.next()}.WithTried(s.bs[0])); b != s.bs[1] {
				t.Fatalf("%s: picked %v, not the idlest of those not tried", name, b)
			}
		}
	}
}

// Policies that cannot be walked hold the bound, too, whether they mind what was tried or not.
func TestForeignPoliciesAreBounded(t *testing.T) {
	stubborn := func(set lb.Set) lb.Picker {
		first := set.Eligible[0].Backend
		slices.Reverse(set.Eligible) // which belongs to it
		return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return first })
	}
	for name, inner := range map[string]lb.Policy{
		"stubborn":    stubborn,
		"Prefer":      Prefer(func(b *lb.Backend) bool { return b.ID() < "b00010" }, Rendezvous(RendezvousConfig{Key: drawn})),
		"LeastLoaded": LeastLoaded,
		"Random":      Random,
	} {
		for _, ws := range [][]int{ones(40), mixed(40)} {
			for _, c := range []float64{1, 1.25} {
				if err := holdsBound(lb.Must(BoundedLoad(c, inner)), c, 1, ws...); err != nil {
					t.Errorf("%s, c %v: %v", name, c, err)
				}
			}
		}
	}
	s := serving(1, 1, 1)
	s.enter(s.bs[0])
	s.enter(s.bs[0])
	p, d := lb.Must(BoundedLoad(1, stubborn))(lbtest.Set(s.bs...)), draws(1)
	for range 100 {
		if b := p.Pick(lb.PickInfo{Rand: d.next()}.WithTried(s.bs[1])); b != s.bs[2] {
			t.Fatalf("picked %s, neither below the bound nor untried", b.ID())
		}
	}
	nobody := func(lb.Set) lb.Picker { return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return nil }) }
	none := func(lb.Set) lb.Picker { return nil }
	for name, inner := range map[string]lb.Policy{"a picker that refuses": nobody, "a policy that does": none} {
		if b := lb.Must(BoundedLoad(2, inner))(lbtest.Set(s.bs...)).Pick(lb.PickInfo{}); b != nil {
			t.Errorf("%s: picked %s", name, b.ID())
		}
	}
}

// What is inside learns, and follows its own predecessor.
func TestBoundedLoadsAreTransparent(t *testing.T) {
	var built []*recorder
	policy := lb.Must(BoundedLoad(1.25, recording(&built)))
	bs := named(1, 1)
	p := policy(lbtest.Set(bs...))
	p.(*bounded).Attempted(lb.Result{Backend: bs[0]})
	policy(after(p, lbtest.Set(bs...)))
	if built[0].results != 1 || built[1].set.Previous != built[0] {
		t.Errorf("told %d results, want 1; the second follows %v", built[0].results, built[1].set.Previous)
	}
	table := lb.Must(BoundedLoad(1.25, lb.Must(Maglev(MaglevConfig{Size: 257}))))
	one := table(lbtest.Set(bs...))
	two := table(after(one, lbtest.Set(bs...)))
	two.(*bounded).Attempted(lb.Result{Backend: bs[0]}) // nobody learns
	if one.(*bounded).inner.(*maglev).table != two.(*bounded).inner.(*maglev).table {
		t.Error("a new table, though nobody has left")
	}
}

func TestBoundedPicksDoNotAllocate(t *testing.T) {
	for name, inner := range hashing() {
		s, d := serving(mixed(50)...), draws(1)
		rng := rand.New(rand.NewPCG(1, 1))
		for range 300 {
			s.enter(s.bs[rng.IntN(len(s.bs))])
		}
		p := lb.Must(BoundedLoad(1, inner))(lbtest.Set(s.bs...))
		if n := testing.AllocsPerRun(500, func() { p.Pick(lb.PickInfo{Rand: d.next()}) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestBoundedLoadRefusesWrongInput(t *testing.T) {
	for _, c := range []float64{0, -1, 0.999, math.NaN(), math.Inf(1), math.Inf(-1)} {
		policy, err := BoundedLoad(c, HashClient)
		if policy != nil || err == nil || !strings.Contains(err.Error(), fmt.Sprint("c ", c, ";")) {
			t.Errorf("c %v: %v", c, err)
		}
	}
	if _, err := BoundedLoad(0, nil); err == nil || !strings.Contains(err.Error(), "nil") || !strings.Contains(err.Error(), "c 0;") {
		t.Errorf("both wrong: %v", err)
	}
	if _, err := BoundedLoad(1, HashClient); err != nil {
		t.Error(err)
	}
}
