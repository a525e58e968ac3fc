package sim_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// The scenarios are small enough to reckon by hand.
type scenario struct {
	name  string
	edit  func(*sim.Config)
	want  string // latencies in the order of their length
	check func(sim.Report) string
}

// base has one backend, and three requests of 30 ms that come at 0, 10 and 20 ms.
func base() sim.Config {
	return sim.Config{
		Policy: shared(picker.RoundRobin), Backends: sim.Fleet(1, sim.Backend{}),
		Arrivals: sim.Trace{0, 10 * ms, 20 * ms}, Work: sim.Fixed(30 * ms), Duration: time.Second,
	}
}

func TestScenarios(t *testing.T) {
	change := func(at time.Duration, i int, edit func(*sim.Backend)) func(*sim.Config) {
		return func(c *sim.Config) { c.Changes = append(c.Changes, sim.Change{At: at, Backend: i, Edit: edit}) }
	}
	for _, s := range []scenario{
		{name: "first come, first served", edit: func(*sim.Config) {}, want: "30ms 50ms 70ms"},
		{name: "two cores", edit: func(c *sim.Config) { c.Backends[0].Cores = 2 }, want: "30ms 30ms 40ms"},
		{name: "half as fast", edit: func(c *sim.Config) { c.Backends[0].Speed = 0.5 }, want: "60ms 110ms 160ms"},
		{name: "sharing", edit: func(c *sim.Config) { c.Discipline = sim.Sharing }, want: "65ms 70ms 75ms"},
		{name: "sharing 1.5 cores", edit: func(c *sim.Config) { c.Discipline, c.Backends[0].Cores = sim.Sharing, 1.5 }, want: "45ms 45.833ms 48.333ms"},
		{name: "unlimited", edit: func(c *sim.Config) { c.Backends[0].Cores = sim.Unlimited }, want: "30ms 30ms 30ms"},
		{name: "network", edit: func(c *sim.Config) { c.Network = sim.Fixed(5 * ms) }, want: "40ms 60ms 80ms"},
		{name: "hobbled", edit: func(c *sim.Config) {
			c.Discipline, c.Backends[0].Hobbled = sim.Sharing, 0.5
		}, want: "125ms 147.5ms 155ms"},
		{name: "another core comes", edit: change(15*ms, 0, func(b *sim.Backend) { b.Cores = 2 }), want: "30ms 35ms 40ms"},
		{name: "slows down", edit: change(15*ms, 0, func(b *sim.Backend) { b.Speed = 0.5 }), want: "45ms 95ms 145ms"},
		{name: "timeout frees the core", edit: func(c *sim.Config) { c.Timeout = 45 * ms }, want: "30ms 45ms 45ms",
			check: func(r sim.Report) string { return expect(r.Errors == 2 && r.Timeouts == 2, r) }},
		{name: "fails fast", edit: func(c *sim.Config) { c.Backends[0].Fail, c.Backends[0].FailAfter = 1, sim.Fixed(2*ms) }, want: "2ms 2ms 2ms",
			check: func(r sim.Report) string { return expect(r.Errors == 3 && r.Backends[0].Failures == 3, r) }},
		{name: "hangs", edit: func(c *sim.Config) { c.Backends[0].Hang, c.Timeout = 1, 100*ms }, want: "100ms 100ms 100ms",
			check: func(r sim.Report) string { return expect(r.Timeouts == 3, r) }},
		{name: "retry elsewhere", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 2})
			c.Backends[0].Fail, c.Backends[0].FailAfter, c.Tries.Max = 1, sim.Fixed(2*ms), 1
			c.Policy = shared(firstUntried)
		}, want: "32ms 32ms 42ms", check: func(r sim.Report) string { return expect(r.Errors == 0 && r.Retries == 3 && r.Attempts == 6, r) }},
		{name: "retry after a pause", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Backends[0].Fail, c.Tries = 1, sim.Tries{Max: 1, Backoff: sim.Fixed(7 * ms)}
			c.Policy = shared(firstUntried)
		}, want: "37ms 37ms 37ms"},
		{name: "each attempt has its time", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Backends[0].Speed, c.Tries = 0.1, sim.Tries{Max: 1, Timeout: 50 * ms}
			c.Policy = shared(firstUntried)
		}, want: "80ms 80ms 80ms", check: func(r sim.Report) string { return expect(r.Errors == 0 && r.Backends[0].Failures == 3, r) }},
		{name: "hedge wins", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Backends[0].Speed, c.Hedge.After = 0.1, 20*ms
			c.Policy = shared(firstUntried)
		}, want: "50ms 50ms 50ms", check: func(r sim.Report) string { return expect(r.Hedges == 3 && r.Backends[0].Failures == 0, r) }},
		{name: "hedge loses", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Backends[1].Speed, c.Hedge.After = 0.1, 20*ms
			c.Policy = shared(firstUntried)
		}, want: "30ms 30ms 30ms", check: func(r sim.Report) string { return expect(r.Hedges == 3, r) }},
		{name: "hedge after a quantile", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Arrivals = regular(400, 50*ms)
			change(10*time.Second, 0, func(b *sim.Backend) { b.Speed = 0.1 })(c)
			c.Policy, c.Hedge.Quantile = shared(firstUntried), 0.95
			c.Warmup, c.Duration = 9900*ms, 150*ms
		}, want: "30ms 30ms 60.72ms", check: func(r sim.Report) string { return expect(r.Hedges == 1, r) }},
		{name: "no time for another try", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Policy, c.Tries.Max, c.Timeout = shared(firstUntried), 1, 40*ms
			c.Arrivals = sim.Trace{0, 100 * ms}
			change(50*ms, 0, func(b *sim.Backend) { b.Fail, b.FailAfter = 1, sim.Fixed(20*ms) })(c)
		}, want: "20ms 30ms", check: func(r sim.Report) string { return expect(r.Errors == 1 && r.Retries == 0, r) }},
		{name: "a failure waits for the hedge", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Cores: 3})
			c.Backends[0].Fail, c.Backends[0].FailAfter = 1, sim.Fixed(20*ms)
			c.Policy, c.Tries.Max, c.Hedge.After = shared(firstUntried), 1, 10*ms
		}, want: "40ms 40ms 40ms", check: func(r sim.Report) string { return expect(r.Hedges == 3 && r.Retries == 0, r) }},
		{name: "fan-out waits for the last", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(3, sim.Backend{Cores: 3})
			c.Backends[1].Speed, c.Fanout = 0.5, 3
		}, want: "60ms 60ms 60ms", check: func(r sim.Report) string { return expect(r.Requests == 3 && r.Attempts == 9, r) }},
		{name: "full backends pass requests on", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{Spec: lb.Spec{MaxInFlight: 1}})
			c.Policy = shared(firstUntried)
		}, want: "0s 30ms 30ms", check: func(r sim.Report) string { return expect(r.Refused == 1 && r.Errors == 1 && r.Picks == 6, r) }},
		{name: "down for all is up", edit: func(c *sim.Config) { c.Backends[0].Down = true }, want: "30ms 50ms 70ms"},
		{name: "nobody there", edit: func(c *sim.Config) { c.Backends[0].Absent = true }, want: "0s 0s 0s",
			check: func(r sim.Report) string { return expect(r.Errors == 3 && r.Refused == 3 && r.Attempts == 0, r) }},
		{name: "down is not picked", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{})
			c.Backends[0].Down = true
		}, want: "30ms 50ms 70ms", check: func(r sim.Report) string { return expect(r.Backends[1].Attempts == 3, r) }},
		{name: "a backend joins", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{})
			c.Backends[0].Absent, c.Policy = true, shared(firstUntried)
			change(5*ms, 0, func(b *sim.Backend) { b.Absent = false })(c)
		}, want: "30ms 30ms 50ms"},
		{name: "who leaves finishes", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{})
			c.Policy = shared(firstUntried)
			change(5*ms, 0, func(b *sim.Backend) { b.Absent = true })(c)
		}, want: "30ms 30ms 50ms"},
		{name: "who learns late is refused", edit: func(c *sim.Config) {
			c.Backends = sim.Fleet(2, sim.Backend{})
			c.Policy, c.Notice = shared(firstUntried), sim.Fixed(10*ms)
			change(5*ms, 0, func(b *sim.Backend) { b.Absent = true })(c)
		}, want: "0s 30ms 30ms", check: func(r sim.Report) string { return expect(r.Errors == 1 && r.Refused == 0, r) }},
	} {
		t.Run(s.name, func(t *testing.T) {
			c := base()
			s.edit(&c)
			r, err := sim.Run(c)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range r.Latency.Count() {
				got = append(got, r.Latency.Quantile(float64(i+1)/float64(r.Latency.Count())).Round(time.Microsecond).String())
			}
			if strings.Join(got, " ") != s.want {
				t.Errorf("latencies are %v, want %s", got, s.want)
			}
			if s.check != nil && s.check(r) != "" {
				t.Error(s.check(r))
			}
		})
	}
}

// regular returns n arrivals with the same distance.
func regular(n int, gap time.Duration) (t sim.Trace) {
	for i := range n {
		t = append(t, time.Duration(i)*gap)
	}
	return t
}

// expect returns what was found if that is not as it should be.
func expect(ok bool, r sim.Report) string {
	if ok {
		return ""
	}
	r.Series = nil
	return fmt.Sprintf("%+v", r)
}

// firstUntried picks the first of its set that was not tried.
func firstUntried(set lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		for _, c := range set.Eligible {
			if !info.Tried(c.Backend) {
				return c.Backend
			}
		}
		return set.Eligible[0].Backend
	})
}

// A picker is built anew with the one before, sets are sorted by ID, and those that are down are
// told apart from those that are gone.
func TestSetsAreThoseOfABalancer(t *testing.T) {
	var seen []string
	record := func(set lb.Set) lb.Picker {
		var b strings.Builder
		for _, c := range set.Eligible {
			fmt.Fprintf(&b, "%s:%v ", c.ID(), c.Weight)
		}
		for _, o := range set.Others {
			fmt.Fprintf(&b, "(%s) ", o.ID())
		}
		fmt.Fprint(&b, set.Previous != nil)
		seen = append(seen, b.String())
		return picker.Random(set)
	}
	c := base()
	c.Policy, c.Backends = shared(record), []sim.Backend{{Spec: lb.Spec{ID: "z"}}, {Spec: lb.Spec{ID: "a", Weight: 2}}, {Spec: lb.Spec{ID: "m"}, Absent: true}}
	for i, edit := range []func(*sim.Backend){
		0: func(b *sim.Backend) { b.Down = true },
		1: func(b *sim.Backend) { b.Spec.Weight = 5 },
		2: func(b *sim.Backend) { b.Absent = false },
	} {
		c.Changes = append(c.Changes, sim.Change{At: time.Duration(i+1) * ms, Backend: i, Edit: edit})
	}
	run(t, c)
	want := []string{"a:2 z:1 false", "a:2 (z) true", "a:5 (z) true", "a:5 m:1 (z) true"}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("sets were\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

// What a policy sees of a backend is what a balancer would let it see.
func TestLoadsAreThoseOfABalancer(t *testing.T) {
	var seen []string
	c := base()
	c.Arrivals = sim.Trace{0, 10 * ms, 100 * ms, 200 * ms, 300 * ms}
	c.Policy = shared(func(set lb.Set) lb.Picker {
		return lb.PickFunc(func(i lb.PickInfo) *lb.Backend {
			b := set.Eligible[0].Backend
			seen = append(seen, fmt.Sprintf("%d %v %.1f", b.InFlight(), b.Latency().Round(ms), b.ErrorRate()))
			return b
		})
	})
	c.Changes = []sim.Change{{At: 150 * ms, Edit: func(b *sim.Backend) { b.Fail = 1 }}}
	run(t, c)
	want := "0 0s 0.0, 1 0s 0.0, 0 50ms 0.0, 0 50ms 0.0, 0 50ms 0.1"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("saw %s, want %s", got, want)
	}
}

// Antagonists that move make of two unequal backends two that are alike in the long run.
func TestAntagonistsMove(t *testing.T) {
	c := sim.Config{
		Policy: shared(picker.RoundRobin), Backends: []sim.Backend{{Cores: 4}, {Cores: 1.2}}, Discipline: sim.Sharing,
		Arrivals: sim.Poisson(200), Work: sim.Exponential(10 * ms), Duration: 100 * time.Second,
	}
	r := run(t, c)
	if a, b := r.Backends[0].InFlight, r.Backends[1].InFlight; b < 2*a {
		t.Errorf("without: %.2f and %.2f in flight", a, b)
	}
	c.Antagonists = sim.Antagonists{Every: 100 * ms, Pairs: 1}
	r = run(t, c)
	if a, b := r.Backends[0].InFlight, r.Backends[1].InFlight; deviation(a, b) > 0.2 {
		t.Errorf("with: %.2f and %.2f in flight", a, b)
	}
}

// hearsay is the rule of YARP: two choices by what the backends said last.
type hearsay struct {
	set  []lb.Candidate
	said map[*lb.Backend]lb.Report
	old  time.Duration // the oldest answer that was ever used
	at   map[*lb.Backend]time.Time
}

func (p *hearsay) Pick(info lb.PickInfo) *lb.Backend {
	n := uint64(len(p.set))
	i := info.Rand >> 32 % n
	j := (i + 1 + info.Rand&math.MaxUint32%(n-1)) % n
	a, b := p.set[i].Backend, p.set[j].Backend
	if at, ok := p.at[a]; ok {
		p.old = max(p.old, info.Now.Sub(at))
	}
	if p.said[a].InFlight <= p.said[b].InFlight {
		return a
	}
	return b
}

// What backends say themselves comes as late as it should, and helps many clients that see little of
// each other's load.
func TestPollsReachThePolicy(t *testing.T) {
	var last *hearsay
	c := sim.Config{
		Clients: 10, Policy: shared(picker.PowerOfTwo), Backends: sim.Fleet(10, sim.Backend{}), Arrivals: sim.Poisson(900),
		Work: sim.Exponential(10 * ms), Warmup: 5 * time.Second, Duration: 10 * time.Second,
	}
	blind := run(t, c)
	c.Policy, c.Probe = nil, sim.Probe{
		Every: 20 * ms, Delay: ms,
		Policy: func(int, func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
			p := &hearsay{said: make(map[*lb.Backend]lb.Report), at: make(map[*lb.Backend]time.Time)}
			last = p
			return func(set lb.Set) lb.Picker { p.set = set.Eligible; return p },
				func(b *lb.Backend, r lb.Report, now time.Time) { p.said[b], p.at[b] = r, now }
		},
	}
	told := run(t, c)
	if told.InFlight.Mean() > 0.9*blind.InFlight.Mean() || told.Probes < 10*10*50*9 {
		t.Errorf("queues of %.2f with %d probes, %.2f without", told.InFlight.Mean(), told.Probes, blind.InFlight.Mean())
	}
	if last.old > 20*ms || last.old < 19*ms {
		t.Errorf("the oldest answer was %v old, want up to 20ms", last.old)
	}
	for _, r := range last.said {
		if r.Latency <= 0 || r.Rate < 50 || r.Rate > 110 || r.Utilization <= 0 || r.Utilization > 1.0001 {
			t.Errorf("a backend said %+v", r)
		}
	}
}

// asking asks about two backends with each pick, and learns from results.
type asking struct {
	set      []lb.Candidate
	ask      func(*lb.Backend)
	asked    []time.Time
	answered int
	reports  int
	outcomes map[lb.Outcome]int
}

func (a *asking) Pick(info lb.PickInfo) *lb.Backend {
	n := uint64(len(a.set))
	a.asked = append(a.asked, info.Now)
	a.ask(a.set[info.Rand%n].Backend)
	a.ask(a.set[(info.Rand+1)%n].Backend)
	return a.set[info.Rand%n].Backend
}

func (a *asking) Attempted(r lb.Result) {
	a.outcomes[r.Outcome]++
	if r.Report != nil && r.Report.InFlight >= 0 {
		a.reports++
	}
}

func TestProbesAndResultsReachThePolicy(t *testing.T) {
	p := &asking{outcomes: make(map[lb.Outcome]int)}
	c := sim.Config{
		Backends: sim.Fleet(4, sim.Backend{Cores: 2}), Arrivals: sim.Poisson(100), Work: sim.Exponential(10 * ms),
		Hedge: lb.Hedge{After: 30 * ms}, Timeout: 200 * ms, Duration: 10 * time.Second,
		Probe: sim.Probe{
			Reports: true, Delay: 3 * ms,
			Policy: func(_ int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
				p.ask = ask
				return func(set lb.Set) lb.Picker { p.set = set.Eligible; return p }, func(_ *lb.Backend, _ lb.Report, now time.Time) {
					p.answered++
					if !slices.Contains(p.asked, now.Add(-3*ms)) {
						t.Errorf("an answer at %v to a question that was not asked 3ms before", now)
					}
				}
			},
		},
	}
	c.Backends[0].Hang, c.Backends[1].Fail = 1, 0.5
	r := run(t, c)
	if p.answered == 0 || float64(p.answered) > 0.8*float64(r.Probes) || float64(p.answered) < 0.7*float64(r.Probes) {
		t.Errorf("%d of %d probes were answered, want all but those of the backend that hangs", p.answered, r.Probes)
	}
	told := 0
	for _, n := range p.outcomes {
		told += n
	}
	if int64(told) < r.Attempts || p.outcomes[lb.Failure] == 0 || p.outcomes[lb.Neutral] == 0 {
		t.Errorf("%d attempts, told of %v", r.Attempts, p.outcomes)
	}
	if p.reports == 0 || p.reports > p.outcomes[lb.Success]+p.outcomes[lb.Failure] {
		t.Errorf("%d results had a report: %v", p.reports, p.outcomes)
	}
}

// A run that needs nothing but whole numbers gives this on every machine, with and without the race
// detector. When the engine is meant to do something else, so is the number. The policy is one of its
// own, so that those of package picker may change.
func TestGolden(t *testing.T) {
	drawn := func(set lb.Set) lb.Picker {
		return lb.PickFunc(func(i lb.PickInfo) *lb.Backend { return set.Eligible[i.Rand%uint64(len(set.Eligible))].Backend })
	}
	var arrivals sim.Trace
	for i := range 5000 {
		arrivals = append(arrivals, time.Duration(i*i%97)*time.Microsecond+time.Duration(i)*ms)
	}
	r := run(t, sim.Config{
		Seed: 1, Clients: 3, Policy: shared(drawn), Backends: sim.Fleet(5, sim.Backend{Cores: 2}), Arrivals: arrivals,
		Work: sim.Fixed(9 * ms), Network: sim.Fixed(ms), Timeout: 30 * ms, Duration: 4 * time.Second,
	})
	const want = "7ec03471bfae75f0"
	if got := fmt.Sprintf("%x", r.Hash); got != want {
		t.Errorf("the hash is %s, want %s", got, want)
	}
}
