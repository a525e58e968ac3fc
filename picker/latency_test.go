package picker

import (
	"container/heap"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/lbtest"
)

// world is a simulation of clients that each have one request in flight at any time.
type world struct {
	now      time.Time
	backends []*lb.Backend
	loads    []*live.Load
	index    map[*lb.Backend]int
	behave   []func(time.Duration) (latency time.Duration, ok bool) // by the time since the start
	pending  pending
}

type done struct {
	at      time.Time
	latency time.Duration
	backend int
	ok      bool
}

type pending []done

func (p pending) Len() int           { return len(p) }
func (p pending) Less(i, j int) bool { return p[i].at.Before(p[j].at) }
func (p pending) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pending) Push(x any)        { *p = append(*p, x.(done)) }
func (p *pending) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

func newWorld(behave ...func(time.Duration) (time.Duration, bool)) *world {
	w := &world{now: time.Unix(1_000_000, 0), behave: behave, index: make(map[*lb.Backend]int)}
	for i := range behave {
		b, load := fresh(id(i))
		w.index[b] = i
		w.backends, w.loads = append(w.backends, b), append(w.loads, load)
	}
	return w
}

// run lets that many clients work for a while, and returns the share of the picks that each
// backend got after a warm-up.
func (w *world) run(policy lb.Policy, clients int, warmUp, whole time.Duration) []float64 {
	p, s, start := policy(lbtest.Set(w.backends...)), seeded(42), w.now
	got, total := make([]float64, len(w.backends)), 0.0
	send := func() {
		i := w.index[p.Pick(lb.PickInfo{Rand: s.Uint64(), Now: w.now})]
		w.loads[i].Enter(0)
		latency, ok := w.behave[i](w.now.Sub(start))
		heap.Push(&w.pending, done{w.now.Add(latency), latency, i, ok})
		if w.now.Sub(start) >= warmUp {
			got[i]++
			total++
		}
	}
	for range clients {
		send()
	}
	for w.now.Sub(start) < whole {
		d := heap.Pop(&w.pending).(done)
		w.now = d.at
		w.loads[d.backend].Leave()
		if d.ok {
			w.loads[d.backend].Answered(w.now, d.latency)
		}
		w.loads[d.backend].Judged(w.now, !d.ok)
		send()
	}
	for i := range got {
		got[i] /= total
	}
	return got
}

func steady(latency time.Duration) func(time.Duration) (time.Duration, bool) {
	return func(time.Duration) (time.Duration, bool) { return latency, true }
}

// failing answers badly in a millisecond from some time on, and before that like the others.
func failing(from time.Duration) func(time.Duration) (time.Duration, bool) {
	return func(at time.Duration) (time.Duration, bool) {
		if at >= from {
			return time.Millisecond, false
		}
		return 10 * time.Millisecond, true
	}
}

// To fail fast must not look like being fast: neither to a few clients nor to so many that all
// others are busy, neither right away nor when its last good answer is long ago, and neither for
// one that once was good nor for one that never was.
func TestABackendThatFailsFastLosesTraffic(t *testing.T) {
	single(t)
	for name, policy := range map[string]lb.Policy{"PeakEWMA": PeakEWMA, "Adaptive": Adaptive} {
		for clients, whole := range map[int]time.Duration{1: 60 * time.Second, 4: 60 * time.Second, 100: 12 * time.Second} {
			for _, from := range []time.Duration{0, 2 * time.Second} {
				w := newWorld(steady(10*time.Millisecond), failing(from), steady(10*time.Millisecond))
				got := w.run(policy, clients, 5*time.Second, whole)
				most := 0.02
				if name == "Adaptive" && clients == 100 {
					most = 1.0 / 3
				}
				if got[1] > most {
					t.Errorf("%s, %d clients, failing from %v on: got %.3f of the requests", name, clients, from, got[1])
				}
			}
		}
	}
}

func TestFastBackendsGetMore(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"PeakEWMA": PeakEWMA, "Adaptive": Adaptive} {
		got := newWorld(steady(5*time.Millisecond), steady(50*time.Millisecond)).run(policy, 10, time.Second, 10*time.Second)
		if got[0] < 0.75 {
			t.Errorf("%s: the fast one got %.3f, want most", name, got[0])
		}
	}
}

// Traefik's least time keeps old samples for good: who began badly is not asked again.
func TestABadStartIsForgiven(t *testing.T) {
	cold := func(at time.Duration) (time.Duration, bool) {
		if at < 3*time.Second {
			return 2 * time.Second, true
		}
		return 10 * time.Millisecond, true
	}
	fail := func(at time.Duration) (time.Duration, bool) { return 10 * time.Millisecond, at >= 3*time.Second }
	for name, policy := range map[string]lb.Policy{"PeakEWMA": PeakEWMA, "Adaptive": Adaptive} {
		for what, bad := range map[string]func(time.Duration) (time.Duration, bool){"slow": cold, "failing": fail} {
			w := newWorld(steady(10*time.Millisecond), bad, steady(10*time.Millisecond))
			got := w.run(policy, 4, 100*time.Second, 120*time.Second)
			if got[1] < 0.2 {
				t.Errorf("%s: one that was %s at first got %.3f later on, want about a third", name, what, got[1])
			}
		}
	}
}

// Whoever nobody has met is tried, by one request until it has answered.
func TestStrangersAreTriedCarefully(t *testing.T) {
	for name, policy := range map[string]lb.Policy{"PeakEWMA": PeakEWMA, "Adaptive": Adaptive} {
		known := lbtest.Backend(lb.Spec{ID: "known"}, lb.Load{InFlight: 5, Latency: 10 * time.Millisecond})
		stranger, load := fresh("stranger")
		p, s := policy(lbtest.Set(known, stranger)), seeded(3)
		if got := picks(p, 1000, s); got["stranger"] < 980 {
			t.Errorf("%s: idle and unknown: %v, want it tried", name, got)
		}
		load.Enter(0)
		if got := picks(p, 1000, s); got["known"] < 980 {
			t.Errorf("%s: unknown and at work: %v, want it left alone", name, got)
		}
		load.Leave()
		load.Judged(time.Now(), true)
		if got := picks(p, 1000, s); got["known"] < 980 {
			t.Errorf("%s: never did but fail: %v, want it left alone", name, got)
		}
	}
}

// With two backends that differ in one thing only, the better one wins, whatever their order.
func TestCheaperMindsEverything(t *testing.T) {
	worse := lb.Load{InFlight: 3, Latency: 20 * time.Millisecond, ErrorRate: 0.2}
	for what, c := range map[string]struct {
		better lb.Load
		weight int
	}{
		"latency":    {lb.Load{InFlight: 3, Latency: 10 * time.Millisecond, ErrorRate: 0.2}, 1},
		"in flight":  {lb.Load{InFlight: 2, Latency: 20 * time.Millisecond, ErrorRate: 0.2}, 1},
		"error rate": {lb.Load{InFlight: 3, Latency: 20 * time.Millisecond, ErrorRate: 0.1}, 1},
		"weight":     {worse, 2},
	} {
		for _, ids := range [][2]string{{"a", "b"}, {"b", "a"}} {
			good := lbtest.Backend(lb.Spec{ID: ids[0], Weight: c.weight}, c.better)
			bad := lbtest.Backend(lb.Spec{ID: ids[1]}, worse)
			for name, policy := range map[string]lb.Policy{"PeakEWMA": PeakEWMA, "Adaptive": Adaptive} {
				if got := picks(policy(lbtest.Set(good, bad)), 1000, seeded(1)); got[good.ID()] < 980 {
					t.Errorf("%s: better by %s: %v", name, what, got)
				}
			}
		}
	}
}

func TestAdaptiveExploresOneInAHundred(t *testing.T) {
	bs := loaded(0, 1000)
	got := picks(Adaptive(lbtest.Set(bs...)), 100_000, seeded(11))
	fits(t, got, map[string]float64{id(0): 199, id(1): 1})
}

func TestAdaptiveHoldsBackTrials(t *testing.T) {
	for _, c := range []struct {
		others int64
		wins   bool
	}{{2, false}, {4, true}} { // four times as dear as one with nothing in flight: as one with 3
		set := lbtest.Set(loaded(0, c.others)...)
		set.Eligible[0].Trial = true
		got := picks(Adaptive(set), 1000, seeded(1))
		if wins := got[id(0)] > 500; wins != c.wins {
			t.Errorf("idle trial against %d in flight: %v", c.others, got)
		}
	}
}

// The vectors of tower (peak_ewma.rs: two requests of 200 ms that overlap) and of Finagle's formula
// for what an answer, a pause and a peak do. Where theirs start from a default round trip (tower: an
// argument; Linkerd: 30 ms), ours has none: a backend nobody has met is tried once, see
// TestStrangersAreTriedCarefully.
//
// One difference is meant. Their reads write: who is asked for its load after a pause has its
// cost decayed for good, and a next answer above that counts as a peak. So the estimate depends on
// how often somebody looks. Ours is a function of the answers only: reads fade it, and the next
// answer is weighed by the time since the last one. The formula without reads gives the same.
func TestPeakEWMAKeepsTheGoldenVectors(t *testing.T) {
	const ms = time.Millisecond
	b, load := fresh("a")
	start := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		at      time.Duration
		enter   bool
		latency time.Duration // of an answer, 0 for none
		want    time.Duration // the cost of one more request
	}{
		{at: 0, enter: true},
		{at: 100 * ms, enter: true},
		{at: 200 * ms, latency: 200 * ms, want: 400 * ms},                            // tower
		{at: 300 * ms, latency: 200 * ms, want: 200 * ms},                            // tower
		{at: 300*ms + live.Tau, want: 73_576 * time.Microsecond},                     // 200 / e
		{at: 300*ms + live.Tau, enter: true, want: 2 * 73_576 * time.Microsecond},    // times pending + 1
		{at: 300*ms + live.Tau, latency: 100 * ms, want: 136_788 * time.Microsecond}, // 200/e + 100 (1 - 1/e)
		{at: 300*ms + live.Tau, enter: true, want: 2 * 136_788 * time.Microsecond},
		{at: 350*ms + live.Tau, latency: 900 * ms, want: 900 * ms}, // a peak is believed at once
		{at: 350*ms + live.Tau + 6931*ms, want: 450 * ms},          // half after 6.93 s
		{at: 350*ms + 100*live.Tau, want: 0},                       // and nothing long after
	} {
		now := start.Add(step.at)
		if step.enter {
			load.Enter(0)
		}
		if step.latency > 0 {
			load.Leave()
			load.Answered(now, step.latency)
		}
		if b.Latency() == 0 {
			continue
		}
		if got := time.Duration(cost(seen(b, now), 0)); got < step.want-100*time.Microsecond || got > step.want+100*time.Microsecond {
			t.Errorf("%+v: costs %v", step, got)
		}
	}
}

// An error costs: e of the requests failing makes a backend (1+10e)/(1-e) times as dear, from which
// it comes back as the rate fades.
func TestPeakEWMAPenalisesErrors(t *testing.T) {
	for e, want := range map[float64]float64{0: 1, 0.1: 2 / 0.9, 0.5: 12, 1: 11 / 0.0005} {
		if got := shunned(e); got < want*0.999 || got > want*1.001 {
			t.Errorf("error rate %v: %v times as dear, want %v", e, got, want)
		}
	}
}
