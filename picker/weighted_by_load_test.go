package picker

import (
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

func weighing(cfg WeightedByLoadConfig) lb.Policy { return lb.Must(WeightedByLoad(cfg)) }

func TestWrongWeightedByLoadConfigs(t *testing.T) {
	for want, cfg := range map[string]WeightedByLoadConfig{
		"Update 99ms": {Update: 99 * time.Millisecond}, "Update -1s": {Update: -time.Second}, "Expiry -1s": {Expiry: -time.Second},
		"Expiry 5s is not above Blackout 5s": {Expiry: 5 * time.Second, Blackout: 5 * time.Second}, "ErrorPenalty NaN": {ErrorPenalty: math.NaN()},
		"ErrorPenalty +Inf": {ErrorPenalty: math.Inf(1)},
	} {
		if p, err := WeightedByLoad(cfg); p != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestWeightsOfReports(t *testing.T) {
	for _, c := range []struct {
		r       lb.Report
		penalty float64
		want    float64
	}{
		{lb.Report{Rate: 100, Utilization: 0.5, Errors: 10}, 1, 166.67}, // gRPC's A58
		{lb.Report{Rate: 100, Utilization: 0.5, Errors: 10}, 0, 200},
		{lb.Report{Rate: 100, Utilization: 1}, 1, 100},
		{lb.Report{Rate: 100}, 1, 0}, {lb.Report{Utilization: 1}, 1, 0}, {lb.Report{}, 1, 0},
	} {
		if got := weightOf(&c.r, c.penalty); math.Abs(got-c.want) > 0.005 {
			t.Errorf("%+v: %v, want %v", c, got, c.want)
		}
	}
}

// On a circle of any arcs, every stretch of the golden sequence has each member as often as its arc is
// long, give or take a few.
func TestLayoutsShareEvenly(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 0))
	for range 60 {
		n := 1 + rng.IntN(100)
		weights, total := make([]float64, n), 0.0
		for i := range weights {
			weights[i] = math.Exp(8 * rng.Float64())
			if i > 0 && rng.IntN(4) == 0 {
				weights[i] = 0
			}
			total += weights[i]
		}
		l, x, got := newLayout(weights), rng.Uint64(), make([]float64, n)
		for k := range 20_000 {
			x += golden64
			i := l.at(x)
			if x >= l.ends[i] && i < n-1 || i > 0 && x < l.ends[i-1] {
				t.Fatalf("%d is not in arc %d of %v", x, i, l.ends)
			}
			got[i]++
			if off := math.Abs(got[i] - float64(k+1)*weights[i]/total); off > 5 {
				t.Fatalf("after %d picks member %d of %v is off by %v", k+1, i, weights, off)
			}
		}
	}
}

// told is a picker that is told what backends report.
type told struct {
	*weightedByLoad
	now    time.Time
	source source
}

func telling(cfg WeightedByLoadConfig, bs ...*lb.Backend) *told {
	w := weighing(cfg)(lbtest.Set(bs...)).(*weightedByLoad)
	return &told{weightedByLoad: w, now: time.Unix(1e9, 0), source: seeded(1)}
}

func (t *told) shares(n int) map[string]float64 {
	got := make(map[string]float64)
	for range n {
		got[t.Pick(lb.PickInfo{Rand: t.source.Uint64(), Now: t.now}).ID()]++
	}
	return got
}

func (t *told) say(b *lb.Backend, rate, utilization float64) {
	t.Attempted(lb.Result{Backend: b, Report: &lb.Report{Rate: rate, Utilization: utilization}})
}

// near fails the test if counts are not in these proportions, give or take a few.
func near(t *testing.T, when string, got map[string]float64, bs []*lb.Backend, weights ...float64) {
	t.Helper()
	n, total := 0.0, 0.0
	for _, c := range got {
		n += c
	}
	for _, w := range weights {
		total += w
	}
	for i, b := range bs {
		if want := n * weights[i] / total; math.Abs(got[b.ID()]-want) > 6 {
			t.Errorf("%s: %v, want %v", when, got, weights)
			return
		}
	}
}

func TestWeightsAreBelievedInTime(t *testing.T) {
	bs := named(1, 1, 1, 2)
	p := telling(WeightedByLoadConfig{}, bs...)
	near(t, "at first", p.shares(1000), bs, 1, 1, 1, 2)
	begun := p.now
	for p.now.Sub(begun) < 12*time.Second {
		p.say(bs[0], 100, 0.5) // 200
		p.say(bs[1], 100, 1)   // 100
		p.Attempted(lb.Result{Backend: bs[2], Report: &lb.Report{InFlight: 3}})
		p.Attempted(lb.Result{Backend: bs[3]})
		if p.now.Sub(begun) < 9*time.Second {
			near(t, "in the blackout", p.shares(100), bs, 1, 1, 1, 2)
		}
		p.shares(1)
		p.now = p.now.Add(500 * time.Millisecond)
	}
	// The mean of those that are known is 150, the mean weight 1.25.
	near(t, "after the blackout", p.shares(5000), bs, 200, 100, 120, 240)
	for range 170 { // one falls silent
		p.say(bs[0], 100, 0.25)
		p.now = p.now.Add(time.Second)
		p.shares(1)
	}
	near(t, "before the expiry", p.shares(5000), bs, 400, 100, 200, 400)
	p.now = p.now.Add(15 * time.Second)
	p.say(bs[0], 100, 0.25)
	p.shares(1)
	near(t, "after it", p.shares(5000), bs, 400, 320, 320, 640)
	p.say(bs[1], 100, 1)
	p.now = p.now.Add(2 * time.Second)
	near(t, "in a new blackout", p.shares(5000), bs, 400, 320, 320, 640)
}

// Shares are laid out once in a period, by one.
func TestLayoutsAreMadeOnceInAPeriod(t *testing.T) {
	bs := named(ones(5)...)
	p := telling(WeightedByLoadConfig{Blackout: -1}, bs...)
	p.shares(1)
	first := p.layout.Load()
	p.now = p.now.Add(time.Second - 1)
	p.say(bs[0], 100, 0.1)
	p.shares(10)
	if p.layout.Load() != first {
		t.Error("laid out within the period")
	}
	p.now = p.now.Add(1)
	var all sync.WaitGroup
	seen := make([]*layout, 8)
	for i := range seen {
		all.Go(func() {
			for range 100 {
				p.Pick(lb.PickInfo{Now: p.now})
			}
			p.updating.Lock() // whoever was laying out has ended
			defer p.updating.Unlock()
			seen[i] = p.layout.Load()
		})
	}
	all.Wait()
	for _, l := range seen {
		if l == first || l != seen[0] {
			t.Error("not laid out, or more than once")
		}
	}
	p.updating.Lock() // somebody is
	p.now = p.now.Add(time.Minute)
	p.shares(10)
	p.updating.Unlock()
	if p.layout.Load() != seen[0] {
		t.Error("laid out by two")
	}
}

// What is known of backends, and whose turn it is, goes on when others come and go.
func TestWeightsGoOn(t *testing.T) {
	for name, wrap := range map[string]func(lb.Policy) lb.Policy{
		"bare":   func(p lb.Policy) lb.Policy { return p },
		"inside": func(p lb.Policy) lb.Policy { return Prefer(func(b *lb.Backend) bool { return true }, p) },
	} {
		policy, bs, now := wrap(weighing(WeightedByLoadConfig{Blackout: -1})), named(1, 1, 1), time.Unix(1e9, 0)
		p := policy(lbtest.Set(bs...))
		count := func(p lb.Picker) map[string]float64 {
			got, s := make(map[string]float64), seeded(1)
			for range 3000 {
				got[p.Pick(lb.PickInfo{Now: now, Rand: s.Uint64()}).ID()]++
			}
			return got
		}
		count(p)
		for i, b := range bs {
			p.(interface{ Attempted(lb.Result) }).Attempted(lb.Result{Backend: b, Report: &lb.Report{Rate: float64(i + 1), Utilization: 1}})
		}
		down := lbtest.Set(bs[0], bs[1])
		down.Others, down.Previous = bs[2:], p
		p = policy(down)
		near(t, name+": one down", count(p), bs[:2], 1, 2)
		up := lbtest.Set(bs...)
		up.Previous = p
		up.Eligible[2].Weight = 0.5 // it warms up
		near(t, name+": up again", count(policy(up)), bs, 1, 2, 1.5)
	}
}

// Turns go on, too: a picker that is built anew for every pick is as even.
func TestTurnsByLoadGoOn(t *testing.T) {
	bs, s, got := named(3, 2, 1), seeded(1), make(map[string]float64)
	policy := weighing(WeightedByLoadConfig{})
	var p lb.Picker
	for range 6000 {
		set := lbtest.Set(bs...)
		set.Previous = p
		p = policy(set)
		got[p.Pick(s.info()).ID()]++
	}
	near(t, "built anew for each pick", got, bs, 3, 2, 1)
}

// In a closed loop backends of different size come to be used alike, and those that fail less.
func TestLoadsEvenOut(t *testing.T) {
	bs, capacity := named(ones(6)...), []float64{100, 200, 400, 400, 800, 1600}
	p := telling(WeightedByLoadConfig{}, bs...)
	got := make(map[string]float64)
	for range 40 {
		got = p.shares(1000)
		for i, b := range bs {
			p.say(b, got[b.ID()], got[b.ID()]/capacity[i])
		}
		p.now = p.now.Add(time.Second)
	}
	near(t, "in the end", got, bs, capacity...)
}

func TestByLoadGivesWay(t *testing.T) {
	bs := named(1, 1)
	p, s := weighing(WeightedByLoadConfig{})(lbtest.Set(bs...)), seeded(1)
	for i := range 200 {
		if tried := bs[i%2]; p.Pick(s.info().WithTried(tried)) == tried {
			t.Fatal("picked again")
		}
	}
}

// Reports that are told while others pick and lay out.
func TestByLoadIsConcurrent(t *testing.T) {
	bs := named(ones(5)...)
	p := weighing(WeightedByLoadConfig{Blackout: -1})(lbtest.Set(bs...)).(*weightedByLoad)
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 500 {
				now := time.Unix(1e9, int64(i)*2e7)
				b := p.Pick(lb.PickInfo{Now: now})
				p.Attempted(lb.Result{Backend: b, Report: &lb.Report{Rate: float64(1 + g), Utilization: 0.5}})
			}
		})
	}
	all.Wait()
}

func BenchmarkWeightedByLoad(b *testing.B) {
	bs := named(ones(1000)...)
	p := telling(WeightedByLoadConfig{Blackout: -1}, bs...)
	for i, be := range bs {
		p.say(be, float64(1+i*i%777), 0.5)
	}
	b.Run("pick", func(b *testing.B) {
		b.ReportAllocs()
		info := lb.PickInfo{Now: p.now}
		for b.Loop() {
			p.Pick(info)
		}
	})
	b.Run("lay", func(b *testing.B) {
		for b.Loop() {
			p.lay(p.now.UnixNano())
		}
	})
}
