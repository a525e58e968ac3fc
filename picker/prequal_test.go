package picker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// alone is a policy that has a Prequal of its own for each picker.
func alone(set lb.Set) lb.Picker { return lb.Must(NewPrequal(PrequalConfig{})).Policy(set) }

// surveyed is a Prequal over backends that does not ask, or notes whom it does.
type surveyed struct {
	*Prequal
	picker *prequal
	bs     []*lb.Backend
	asked  []*lb.Backend // since they were last looked at
	now    time.Time
	source source
}

func survey(cfg PrequalConfig, n int) *surveyed {
	s := &surveyed{bs: named(ones(n)...), now: time.Unix(1e9, 0), source: seeded(uint64(n))}
	cfg.Ask = func(b *lb.Backend) { s.asked = append(s.asked, b) }
	s.Prequal = lb.Must(NewPrequal(cfg))
	s.picker = s.Policy(lbtest.Set(s.bs...)).(*prequal)
	return s
}

func (s *surveyed) info() lb.PickInfo { return lb.PickInfo{Rand: s.source.Uint64(), Now: s.now} }

func (s *surveyed) pick() *lb.Backend { return s.picker.Pick(s.info()) }

// hear has a backend answer.
func (s *surveyed) hear(i int, inFlight int64, latency time.Duration) {
	s.Answer(s.bs[i], lb.Report{InFlight: inFlight, Latency: latency}, s.now)
}

// quiet neither asks nor removes, and its answers are good for ever.
var quiet = PrequalConfig{Probes: 1e-9, Remove: -1, Delta: 1e6}

func TestWrongPrequalConfigs(t *testing.T) {
	for want, cfg := range map[string]PrequalConfig{
		"Quantile 1 ": {Quantile: 1}, "Quantile -0.1": {Quantile: -0.1}, "Quantile NaN": {Quantile: math.NaN()},
		"Probes 17": {Probes: 17}, "Probes NaN": {Probes: math.NaN()}, "Remove 17": {Remove: 17}, "Remove NaN": {Remove: math.NaN()},
		"PoolSize 65": {PoolSize: 65}, "PoolSize 1 ": {PoolSize: 1}, "MaxAge -1": {MaxAge: -1}, "Delta -1": {Delta: -1}, "Delta +Inf": {Delta: math.Inf(1)},
		`Path "x"`: {Path: "x"}, `Path "//x"`: {Path: "//x"}, `Path "/?x"`: {Path: "/?x"}, "Timeout -1": {Timeout: -1}, "Parallel -1": {Parallel: -1}, "Retry -1": {Retry: -1},
	} {
		if p, err := NewPrequal(cfg); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	_, err := NewPrequal(PrequalConfig{Quantile: 2, Probes: -1, PoolSize: -1})
	if err == nil || strings.Count(err.Error(), "PrequalConfig.") != 3 {
		t.Errorf("not every fault is named: %v", err)
	}
}

// golden are values of b_reuse.
var golden = []struct {
	m, n                 int
	probes, remove, want float64
}{
	{16, 100, 3, 1, 1.316}, {16, 100, 4, 0.25, 1}, {16, 100, 2, 0.25, 1.399}, {16, 100, 1, 0.25, 3.390},
	{16, 100, 0.7071, 0.25, 5.814}, {16, 100, 0.5, 0.25, 11.765}, {16, 1000, 3, 1, 1.025},
	{16, 16, 3, 1, math.Inf(1)}, {16, 20, 3, 1, math.Inf(1)}, {16, 24, 3, 1, math.Inf(1)}, {8, 16, 3, 1, 4}, {4, 8, 3, 1, 4},
}

func isGolden(reuse func(m, n int, probes, remove, delta float64) float64) bool {
	return !slices.ContainsFunc(golden, func(g struct {
		m, n                 int
		probes, remove, want float64
	}) bool {
		got := reuse(g.m, g.n, g.probes, g.remove, 1)
		return got != g.want && !(math.Abs(got-g.want) < 0.001)
	})
}

func TestReuse(t *testing.T) {
	if !isGolden(reuse) {
		t.Error("b_reuse is not as it should be")
	}
	grouped := func(m, n int, probes, remove, delta float64) float64 { // the fault of another implementation
		return max(1, (1+delta)/((1-float64(m)/float64(n))*(probes-remove)))
	}
	if isGolden(grouped) {
		t.Error("the golden values do not tell a wrong formula")
	}
	for n := pooled; n < 200; n++ {
		if s := survey(PrequalConfig{}, n); s.size != min(16, n/2) || !(s.reuse <= 4) {
			t.Errorf("%d backends: a pool of %d, each good for %v picks", n, s.size, s.reuse)
		}
	}
}

// A probe is good for as many picks as the formula says, in the mean.
func TestProbesAreUsedUp(t *testing.T) {
	for _, cfg := range []PrequalConfig{{Probes: 3}, {Probes: 2, Remove: 0.25}, {Probes: 1, Remove: 0.25}, {Probes: 0.5, Remove: 0.25}, {Probes: 1}} {
		s := survey(cfg, 100)
		const answers = 4000
		good, unlimited := 0, false
		for i := range answers {
			s.pick()
			s.hear(i%100, 0, time.Millisecond)
			if left := s.pool[len(s.pool)-1].left; left == math.MaxInt {
				unlimited = true
			} else {
				good += left
			}
		}
		if unlimited != math.IsInf(s.reuse, 1) || !unlimited && math.Abs(float64(good)/answers-s.reuse) > 0.05 {
			t.Errorf("%+v: good for %v picks, want %v", cfg, float64(good)/answers, s.reuse)
		}
	}
}

// reference is the rule as the paper has it: the coldest with the lowest latency, else the hot one
// with the least in flight.
func reference(pool []probe, theta float64) (best []int) {
	rank := func(a probe) [3]float64 {
		if a.inFlight > theta {
			return [3]float64{1, a.inFlight, a.latency}
		}
		return [3]float64{0, a.latency, a.inFlight}
	}
	for i := range pool {
		if len(best) > 0 {
			c := slices.Compare(ranked(rank(pool[i])), ranked(rank(pool[best[0]])))
			if c > 0 {
				continue
			}
			if c < 0 {
				best = nil
			}
		}
		best = append(best, i)
	}
	return best
}

func ranked(r [3]float64) []float64 { return r[:] }

func TestColdBeforeHotThenLatencyThenInFlight(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for _, q := range []float64{1e-9, 0.35, 0.84, 0.999} {
		for range 400 {
			cfg := quiet
			cfg.Quantile = q
			s := survey(cfg, 32)
			for range 2 + rng.IntN(40) {
				s.hear(rng.IntN(32), rng.Int64N(6), time.Duration(rng.Int64N(5)))
			}
			if len(s.pool) < 2 {
				continue
			}
			before := slices.Clone(s.pool)
			var best []string
			for _, i := range reference(before, s.recent.theta) {
				best = append(best, before[i].peer.backend.ID())
			}
			if got := s.pick().ID(); !slices.Contains(best, got) {
				t.Fatalf("q %v theta %v: picked %s, want one of %v of %+v", q, s.recent.theta, got, best, before)
			}
		}
	}
}

// The threshold is that of the latest 128 answers, whatever is in the pool.
func TestThreshold(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 0))
	for _, q := range []float64{1e-9, 0.25, 0.84, 0.999} {
		var r recent
		var seen []float64
		for i := range 700 {
			x := float64(rng.IntN(1 + i%50))
			seen = append(seen, x)
			r.add(x, q)
			last := slices.Clone(seen[max(0, len(seen)-128):])
			slices.Sort(last)
			if want := last[int(q*float64(len(last)-1))]; r.theta != want {
				t.Fatalf("q %v after %d: %v, want %v", q, i+1, r.theta, want)
			}
			if top := len(last) - 1; top > 0 && last[top] > last[top-1] && r.theta >= last[top] {
				t.Fatalf("q %v: the highest of %v is not hot", q, last)
			}
		}
	}
}

// Probes and removals come as often as they are due, to the last one, never two too many at once.
func TestRatesAreExact(t *testing.T) {
	for _, perPick := range []float64{0.1, 0.25, 0.5, 0.7071, 1, 1.5, 3, 4.75, 16} {
		s, total := survey(PrequalConfig{Probes: perPick}, 100), 0
		for n := 1; n <= 5000; n++ {
			s.asked = nil
			s.pick()
			got := len(s.asked)
			total += got
			want := float64(n) * perPick
			if float64(total) > want+1e-6 || float64(total) < want-1 || got != int(perPick) && got != int(math.Ceil(perPick)) {
				t.Fatalf("%v for a pick: %d with pick %d, %d so far", perPick, got, n, total)
			}
		}
	}
}

// samples reports whether targets are drawn without replacement and all sets alike.
func samples(t *testing.T, draw func() []string) (fair bool) {
	t.Helper()
	sets := make(map[string]float64)
	for range 5600 {
		asked := draw()
		slices.Sort(asked)
		if len(slices.Compact(slices.Clone(asked))) != len(asked) {
			return false
		}
		sets[strings.Join(asked, " ")]++
	}
	shares := make(map[string]float64)
	for i := range 8 {
		for j := range i {
			for k := range j {
				three := []string{id(i), id(j), id(k)}
				slices.Sort(three)
				shares[strings.Join(three, " ")] = 1
			}
		}
	}
	fits(t, sets, shares)
	return true
}

func TestTargetsAreDrawnWithoutReplacement(t *testing.T) {
	s := survey(PrequalConfig{}, 8)
	if !samples(t, func() (ids []string) {
		s.asked = nil
		s.pick()
		for _, b := range s.asked {
			ids = append(ids, b.ID())
		}
		return ids
	}) {
		t.Error("a backend was asked twice for one pick")
	}
	d := draws(1)
	if samples(t, func() []string { return []string{id(d.below(8)), id(d.below(8)), id(d.below(8))} }) {
		t.Error("drawing with replacement passes")
	}
}

// Removal takes the oldest and the worst by turns: the hottest, else the slowest.
func TestRemoval(t *testing.T) {
	left := func(s *surveyed) (is []int) {
		for _, a := range s.pool {
			is = append(is, slices.Index(s.bs, a.peer.backend))
		}
		return is
	}
	s := survey(PrequalConfig{Probes: 1e-9, Delta: 1e6}, 32)
	for i, inFlight := range []int64{1, 1, 1, 1, 1, 1, 9, 8, 1, 1} {
		s.hear(i, inFlight, time.Duration(10+i))
	}
	for i := range 128 {
		s.recent.add(float64(i%2), 0.84) // one in flight is cold
	}
	for _, want := range [][]int{
		{1, 2, 3, 4, 5, 6, 7, 8, 9}, // the oldest
		{1, 2, 3, 4, 5, 7, 8, 9},    // the hottest
		{2, 3, 4, 5, 7, 8, 9}, {2, 3, 4, 5, 8, 9}, {3, 4, 5, 8, 9},
		{3, 4, 5, 8}, // none is hot: the slowest
	} {
		s.thinLocked()
		if got := left(s); !slices.Equal(got, want) {
			t.Errorf("left are %v, want %v", got, want)
		}
	}
}

func TestAnswersGetOld(t *testing.T) {
	s := survey(quiet, 32)
	s.hear(0, 0, time.Millisecond)
	s.hear(1, 9, time.Second)
	s.now = s.now.Add(time.Second)
	for range 5 {
		if got := s.pick(); got != s.bs[0] {
			t.Fatalf("picked %s after a second", got.ID())
		}
	}
	s.now = s.now.Add(1)
	fits(t, tally(s, 3200), even(s.bs))
}

func tally(s *surveyed, n int) map[string]float64 {
	got := make(map[string]float64)
	for range n {
		got[s.pick().ID()]++
	}
	return got
}

func even(bs []*lb.Backend) map[string]float64 {
	shares := make(map[string]float64)
	for _, b := range bs {
		shares[b.ID()] = 1
	}
	return shares
}

// With nothing to choose from, any backend will do.
func TestOneAnswerIsNoChoice(t *testing.T) {
	for n := range 2 {
		s := survey(quiet, 16)
		for i := range n {
			s.hear(i, 0, 1)
		}
		fits(t, tally(s, 3200), even(s.bs))
	}
}

// A pick is in flight on its backend before the backend can say so: equals share evenly.
func TestPicksCountAtOnce(t *testing.T) {
	s := survey(quiet, 32)
	for i := range 5 {
		s.hear(i, 3, time.Millisecond)
	}
	got := tally(s, 100)
	for i := range 5 {
		if got[id(i)] != 20 {
			t.Fatalf("%v, want 20 each", got)
		}
	}
}

// A backend's new answer takes the place of its last; the pool is never larger than it should be.
func TestThePoolHasOneOfEach(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 0))
	for _, n := range []int{8, 9, 16, 31, 32, 100} {
		s := survey(PrequalConfig{}, n)
		for range 2000 {
			s.hear(rng.IntN(n), rng.Int64N(9), time.Duration(rng.Int64N(9)))
			if rng.IntN(2) == 0 {
				s.pick()
			}
			ids := make(map[*peer]bool)
			for _, a := range s.pool {
				ids[a.peer] = true
			}
			if len(ids) != len(s.pool) || len(s.pool) > min(16, n/2) {
				t.Fatalf("%d probes of %d backends in a pool for %d", len(s.pool), len(ids), n)
			}
		}
	}
}

func TestNoAnswers(t *testing.T) {
	s := survey(quiet, 16)
	s.hear(0, -1, 5)
	s.hear(0, 5, -1)
	s.Answer(named(ones(20)...)[19], lb.Report{}, s.now)
	if len(s.pool) > 0 {
		t.Errorf("%+v", s.pool)
	}
}

// A backend of twice the weight is as hot with twice as many in flight.
func TestPrequalMindsWeights(t *testing.T) {
	s := &surveyed{bs: named(4, 2, 1, 1, 1, 1, 1, 1, 1, 1), now: time.Unix(1e9, 0), source: seeded(1)}
	cfg := quiet
	cfg.Quantile, cfg.Ask = 1e-9, func(*lb.Backend) {}
	s.Prequal = lb.Must(NewPrequal(cfg))
	s.picker = s.Policy(lbtest.Set(s.bs...)).(*prequal)
	for i := range 5 {
		s.hear(i, 0, time.Millisecond)
	}
	got := tally(s, 180)
	if got[id(0)] != 80 || got[id(1)] != 40 || got[id(2)] != 20 || got[id(3)] != 20 {
		t.Errorf("%v, want 4 to 2 to 1", got)
	}
}

// What is known stays when backends come and go, also inside another policy, and only about those who
// are there.
func TestPrequalGoesOn(t *testing.T) {
	for name, wrap := range map[string]func(lb.Policy) lb.Policy{
		"bare": func(p lb.Policy) lb.Policy { return p },
		"inside": func(p lb.Policy) lb.Policy {
			return Prefer(func(b *lb.Backend) bool { return b.Label("zone") == "a" }, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := survey(quiet, 40)
			policy := wrap(s.Policy)
			p := policy(lbtest.Set(s.bs...))
			for i := range 8 {
				s.hear(i, 2, time.Duration(10+i))
			}
			s.hear(38, 0, 1) // the best, of zone a
			if got := p.Pick(s.info()); got != s.bs[38] {
				t.Fatalf("picked %s", got.ID())
			}
			set := lbtest.Set(slices.Concat(s.bs[:3], s.bs[5:])...)
			set.Others, set.Previous = s.bs[3:5], p
			p = policy(set)
			if got := p.Pick(s.info()); got != s.bs[38] {
				t.Errorf("picked %s after a backend went down", got.ID())
			}
			s.hear(4, 0, 1) // is not eligible
			gone := lbtest.Set(s.bs[:38]...)
			gone.Previous = p
			if p = policy(gone); p.Pick(s.info()) == s.bs[38] || len(s.peers) != 38 {
				t.Errorf("%d backends are known of 38, or one that has gone was picked", len(s.peers))
			}
		})
	}
}

// An answer from one that may not be picked is not picked.
func TestOnlyEligibleOnesArePicked(t *testing.T) {
	s := survey(quiet, 20)
	set := lbtest.Set(s.bs[:16]...)
	set.Others = s.bs[16:]
	s.picker = s.Policy(set).(*prequal)
	for i := range 20 {
		s.hear(i, int64(20-i), time.Duration(20-i))
	}
	for range 500 {
		if b := s.pick(); !slices.Contains(s.bs[:16], b) {
			t.Fatalf("picked %s", b.ID())
		}
		for _, b := range s.asked {
			if !slices.Contains(s.bs[:16], b) {
				t.Fatalf("asked %s", b.ID())
			}
		}
	}
}

// Few backends are compared by two, on what they have said of late, else on what is seen here.
func TestFewBackends(t *testing.T) {
	s := survey(quiet, 3)
	fits(t, tally(s, 3000), map[string]float64{id(0): 1, id(1): 1, id(2): 1})
	s.now = s.now.Add(time.Minute)
	s.hear(0, 500_000, 1)
	s.hear(1, 0, 9)
	s.hear(2, 250_000, 1)
	fits(t, tally(s, 3000), map[string]float64{id(1): 2, id(2): 1})
	s.now = s.now.Add(2 * time.Second) // too old
	fits(t, tally(s, 3000), map[string]float64{id(0): 1, id(1): 1, id(2): 1})
	for n := 2; n < pooled; n++ {
		s := survey(PrequalConfig{}, n)
		for range 100 {
			s.asked = nil
			s.pick()
			if len(s.asked) != min(3, n) {
				t.Fatalf("%d of %d asked", len(s.asked), n)
			}
		}
	}
	one := survey(PrequalConfig{}, 1)
	if one.pick() != one.bs[0] || len(one.asked) > 0 {
		t.Error("a lone backend is asked")
	}
}

// To fail fast is not to be fast. In a closed loop, one of twenty backends fails at once and has never
// anything in flight.
func TestFailuresAreNoSink(t *testing.T) {
	for _, reports := range []bool{true, false} {
		bs, loads := make([]*lb.Backend, 20), make(map[string]func(time.Time, bool))
		for i := range bs {
			b, load := fresh(id(i))
			bs[i] = b
			loads[b.ID()] = load.Judged
			load.Set(time.Unix(1e9, 0), 4, 80*time.Millisecond, 0)
		}
		cfg := PrequalConfig{}
		var p *Prequal
		now := time.Unix(1e9, 0)
		if reports {
			cfg.Ask = func(b *lb.Backend) {
				r := lb.Report{InFlight: 4, Latency: 80 * time.Millisecond}
				if b == bs[7] {
					r = lb.Report{Latency: time.Millisecond}
				}
				p.Answer(b, r, now)
			}
		}
		p = lb.Must(NewPrequal(cfg))
		picker, s, sunk := p.Policy(lbtest.Set(bs...)), seeded(5), 0
		const n = 20_000
		for range n {
			now = now.Add(time.Millisecond)
			b := picker.Pick(lb.PickInfo{Now: now, Rand: s.Uint64()})
			res := lb.Result{Backend: b, Outcome: lb.Success}
			if b == bs[7] {
				sunk++
				res.Outcome = lb.Failure
			}
			loads[b.ID()](now, b == bs[7])
			picker.(*prequal).Attempted(res)
		}
		if sunk > n/20/4 {
			t.Errorf("reports %v: the one that fails got %d of %d", reports, sunk, n)
		}
	}
}

// A backend that fails a third of its requests is as slow as all others, and more.
func TestFailuresCostLatency(t *testing.T) {
	s := survey(quiet, 16)
	s.bs[3] = lbtest.Backend(lb.Spec{ID: id(3)}, lb.Load{ErrorRate: 0.3})
	s.picker = s.Policy(lbtest.Set(s.bs...)).(*prequal)
	s.now = time.Now()
	for i := range 8 {
		s.hear(i, 0, 50*time.Millisecond)
	}
	s.hear(3, 0, time.Millisecond)
	s.hear(4, 0, 90*time.Millisecond)
	for i := range 8 {
		if b := s.pick(); b == s.bs[3] {
			t.Fatalf("pick %d is the one that fails", i)
		}
		s.hear(i/2*4, 0, 50*time.Millisecond)
	}
	s.hear(5, 0, 0) // never answered, and now it fails
	s.picker.Attempted(lb.Result{Backend: s.bs[3], Outcome: lb.Failure})
	s.picker.Attempted(lb.Result{Backend: s.bs[3], Outcome: lb.Success})
	if b := s.pick(); b != s.bs[5] {
		t.Errorf("picked %s, not the one whose latency is not known", b.ID())
	}
}

// A probe that is used up is gone.
func TestProbesEnd(t *testing.T) {
	cfg := quiet
	cfg.Quantile = 0.999
	s := survey(cfg, 32)
	for range 128 {
		s.recent.add(1000, 0.84) // all are cold
	}
	for i := range 3 {
		s.hear(i, 0, time.Duration(1+i))
		s.pool[i].left = 4
	}
	for i, want := range []int{0, 0, 0, 0, 1, 1, 1, 1} {
		if got := s.pick(); got != s.bs[want] {
			t.Fatalf("pick %d: %s", i, got.ID())
		}
	}
	if len(s.pool) != 1 {
		t.Errorf("%d probes are left", len(s.pool))
	}
}

// When everybody fails, everybody is asked.
func TestAllFail(t *testing.T) {
	bs := make([]*lb.Backend, 10)
	for i := range bs {
		bs[i] = lbtest.Backend(lb.Spec{ID: id(i)}, lb.Load{ErrorRate: 1, InFlight: int64(i % 2)})
	}
	if got := picks(alone(lbtest.Set(bs...)), 1000, seeded(1)); len(got) < 5 {
		t.Errorf("only %v", got)
	}
}

func TestPrequalRetriesElsewhere(t *testing.T) {
	for _, n := range []int{2, 5, 8, 20} {
		s := survey(PrequalConfig{}, n)
		for i := range n {
			s.hear(i, int64(i), time.Duration(i))
		}
		for i := range 200 {
			tried := s.bs[:1+i%(n-1)]
			if b := s.picker.Pick(s.info().WithTried(tried...)); n != 5 && slices.Contains(tried, b) {
				t.Fatalf("%d backends: picked %s again", n, b.ID())
			}
		}
	}
}

func TestPrequalDoesNotAllocate(t *testing.T) {
	p := lb.Must(NewPrequal(PrequalConfig{Ask: func(*lb.Backend) {}}))
	bs := named(ones(100)...)
	picker, info := p.Policy(lbtest.Set(bs...)), lb.PickInfo{Now: time.Now()}
	i := 0
	if n := testing.AllocsPerRun(500, func() {
		info.Rand++
		picker.Pick(info)
		for range 3 {
			i++
			p.Answer(bs[i*7%100], lb.Report{InFlight: int64(i % 5), Latency: 3}, info.Now)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkPrequal picks from a full pool of sixteen, and answers the three probes of each pick.
func BenchmarkPrequal(b *testing.B) {
	for _, n := range []int{32, 1000} {
		s := survey(quiet, n)
		for i := range 16 {
			s.hear(i, int64(i*7%5), time.Duration(i*5%16))
		}
		info := s.info()
		b.Run(fmt.Sprint("pick/", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				info.Rand++
				s.picker.Pick(info)
			}
		})
	}
	p := lb.Must(NewPrequal(PrequalConfig{Ask: func(*lb.Backend) {}}))
	bs := named(ones(100)...)
	picker, info, i := p.Policy(lbtest.Set(bs...)), lb.PickInfo{Now: time.Now()}, 0
	b.Run("probes/100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			info.Rand++
			picker.Pick(info)
			for range 3 {
				i++
				p.Answer(bs[i*7%100], lb.Report{InFlight: int64(i % 5), Latency: time.Duration(i % 7)}, info.Now)
			}
		}
	})
}
