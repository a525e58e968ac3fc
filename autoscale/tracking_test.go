package autoscale

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

var instant = time.Unix(1e9, 0)

// steady is a plan that has seen n fit backends under the same load for five minutes.
func steady(p Plan, n int, l Load) (Plan, Load) {
	l.Backends, l.Fit, l.Interval = n, n, 0
	for i := range 150 {
		l.Now = instant.Add(time.Duration(i) * 2 * time.Second)
		p, _ = p.Next(l)
		l.Interval = 2 * time.Second
	}
	l.Now = l.Now.Add(2 * time.Second)
	return p, l
}

// TestDecisions has plans that want 7 slots in use of each backend decide after a steady load.
func TestDecisions(t *testing.T) {
	flight := func(x float64) Load {
		return Load{Concurrency: x, Begun: int64(10 * x), Ended: int64(10 * x), Requests: int64(10 * x)}
	}
	for _, tt := range []struct {
		name     string
		backends int
		before   Load
		now      func(*Load)
		want     int
	}{
		{"as it was", 10, flight(70), nil, 10},
		{"within the tolerance above", 10, flight(76), nil, 10},
		{"beyond it", 10, flight(78), nil, 12},
		{"within the tolerance below", 10, flight(64), nil, 10},
		{"beyond it", 10, flight(62), nil, 9},
		{"by half at most", 20, flight(14), nil, 10},
		{"idle", 1, flight(0), nil, 1},
		{"many at once begin a panic", 10, flight(70), func(l *Load) { l.Concurrency, l.Begun = 560, 5600 }, 34},
		{"but at most ten times as many", 2, flight(14), func(l *Load) { l.Concurrency, l.Begun = 14e4, 14e5 }, 20},
		{"or four more", 1, flight(7), func(l *Load) { l.Concurrency, l.Begun = 14e4, 14e5; l.Fit = 0; l.Starting = 1 }, 4},
		{"never down in a panic", 2, flight(14), func(l *Load) { l.Backends, l.Starting, l.Concurrency, l.Begun = 10, 8, 60, 600 }, 10},
		{"down without one", 2, flight(14), func(l *Load) { l.Backends, l.Starting = 10, 8 }, 5},
		{"an outage holds", 10, flight(7), func(l *Load) { l.Fit = 4 }, 10},
		{"even if it calls for more", 10, flight(70), func(l *Load) { l.Fit = 4; l.Concurrency, l.Begun = 560, 5600 }, 10},
		{"half of them is none", 10, flight(78), func(l *Load) { l.Fit = 5 }, 12},
	} {
		plan, l := steady(lb.Must(Utilization(UtilizationConfig{Slots: 10})), tt.backends, tt.before)
		if tt.now != nil {
			tt.now(&l)
		}
		_, got := plan.Next(l)
		if _, again := plan.Next(l); got != tt.want || again != got {
			t.Errorf("%s: %d and then %d, want %d", tt.name, got, again, tt.want)
		}
	}
}

// TestUnfitDoNotCount replaces those that have been unfit for a whole window.
func TestUnfitDoNotCount(t *testing.T) {
	plan, l := steady(lb.Must(Requests(RequestsConfig{Rate: 10})), 10, Load{Begun: 140, Requests: 140})
	l.Fit = 7
	for i := range 31 {
		var got int
		if plan, got = plan.Next(l); got != 10 && i < 29 || got != 13 && i > 29 {
			t.Errorf("%d after %d intervals", got, i+1)
		}
		l.Now = l.Now.Add(2 * time.Second)
	}
}

// TestSlowerRequests doubles what a request takes while the rate stays: the queue that this
// makes is not explained by the rate, and pulls more backends in, all of which stay.
func TestSlowerRequests(t *testing.T) {
	w := world{slots: 10, service: 0.3, startup: 30, first: 5, length: 1200, rate: func(float64) float64 { return 100 }}
	for seed := uint64(1); seed <= 5; seed++ {
		w.slower = func(t float64) float64 { return 1 + stepUp(t >= 300) }
		r := w.play(compared()["Utilization"], seed)
		if got := r.sizes[len(r.sizes)-1]; got < 9 || got > 12 {
			t.Errorf("seed %d: %d backends for 60 requests in flight", seed, got)
		}
	}
}

// TestColdStart goes from nothing to a thousand requests a second in a moment: what a request takes
// is first learned under way.
func TestColdStart(t *testing.T) {
	for _, patience := range []float64{0, 5} {
		w := world{slots: 10, service: 0.3, startup: 30, first: 3, length: 1200, patience: patience, rate: func(t float64) float64 { return 1000 * stepUp(t >= 100) }}
		for seed := uint64(1); seed <= 5; seed++ {
			r := w.play(compared()["Utilization"], seed)
			at, most := r.reached(100, 39)
			if at > 150 || most > 60 {
				t.Errorf("patience %v, seed %d: %v in flight reached at %.0fs, %d at most", patience, seed, r.overload, at, most)
			}
		}
	}
}

// TestSmallPools has loads of a few requests, whose noise is large: an hour brings two moves at most.
func TestSmallPools(t *testing.T) {
	single(t)
	cfg := Config{Plan: lb.Must(Utilization(UtilizationConfig{Slots: 4})), Max: 60}
	for _, rate := range []float64{1, 5, 9.2, 10, 18.5, 30} {
		w := world{slots: 4, service: 0.3, startup: 30, first: 1, length: 4200, rate: func(float64) float64 { return rate }}
		for seed := uint64(1); seed <= 5; seed++ {
			r := w.play(cfg, seed)
			moves, last := len(r.moved(600, 1))+len(r.moved(600, -1)), r.sizes[len(r.sizes)-1]
			if moves > 2 || last < w.needed(rate) || last > w.needed(rate)+1 {
				t.Errorf("%v/s, seed %d: %d moves, %d backends", rate, seed, moves, last)
			}
		}
	}
}

func stepUp(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// TestStuck has the wait for a queue begin anew.
func TestStuck(t *testing.T) {
	rate := service{busy: 100, ended: 100} // a second each
	queue := means{rate: 10, flight: 50}
	first := stuck{}.next(Load{Now: instant}, queue, 20, rate)
	now := Load{Now: instant.Add(time.Minute)}
	if s := first.next(now, queue, 20, rate); !s.lasts(now.Now, time.Minute) || first.lasts(now.Now, time.Hour) {
		t.Errorf("%+v", s)
	}
	for name, s := range map[string]stuck{
		"a shorter queue": first.next(now, means{rate: 10, flight: 44}, 20, rate),
		"more slots":      first.next(now, queue, 30, rate),
		"no queue":        first.next(now, queue, 50, rate),
		"a higher rate":   first.next(now, means{rate: 21, flight: 50}, 20, rate),
		"warming":         first.next(Load{Now: now.Now, Warming: 1}, queue, 20, rate),
	} {
		if s.lasts(now.Now, time.Minute) {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// TestAhead has a forecast save most of the overload of a ramp.
func TestAhead(t *testing.T) {
	w := loads()["ramp"]
	for seed := uint64(1); seed <= 5; seed++ {
		with, without := w.play(compared()["Utilization, Ahead 30s"], seed), w.play(compared()["Utilization"], seed)
		if with.overload > without.overload/2 {
			t.Errorf("seed %d: %.0f overload-seconds, %.0f without a forecast", seed, with.overload, without.overload)
		}
	}
}

// TestStaffing compares with the figures of the square-root rule.
func TestStaffing(t *testing.T) {
	for _, tt := range []struct {
		flight float64
		want   int
	}{{10, 14}, {100, 110}, {1000, 1032}} {
		plan, l := steady(lb.Must(Utilization(UtilizationConfig{Slots: 1, Staffing: 1})), tt.want/2, Load{Concurrency: tt.flight})
		if _, got := plan.Next(l); got != tt.want {
			t.Errorf("%v in flight: %d, want %d", tt.flight, got, tt.want)
		}
	}
}

func TestLargest(t *testing.T) {
	plan := Largest(lb.Must(Utilization(UtilizationConfig{})), PlanFunc(func(l Load) int { return int(l.InFlight) }), Step(20))
	for _, tt := range []struct {
		l    Load
		want int
	}{{Load{Backends: 3, InFlight: 2}, 3}, {Load{Backends: 3, InFlight: 9}, 9}, {Load{Backends: 3, Requests: 21}, 4}} {
		next, got := plan.Next(tt.l)
		if got != tt.want || len(next.(largest)) != 3 {
			t.Errorf("%+v: %d, want %d", tt.l, got, tt.want)
		}
	}
}

// TestWindows compares windows with plain sums, under intervals of every length.
func TestWindows(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s spans
		var tops peaks
		var all []span
		var needs []peak
		now := instant
		for range 100 {
			took := time.Duration(1+random.IntN(20)) * time.Second
			now = now.Add(took)
			l := Load{Now: now, Interval: took, Begun: random.Int64N(1000), Concurrency: 100 * random.Float64(), Backends: 9, Fit: random.IntN(10)}
			kept := fmt.Sprint(s, tops)
			next, nextTops := s.add(l, 2*l.Concurrency, time.Minute), tops.add(now, l.Concurrency, time.Minute)
			if fmt.Sprint(s, tops) != kept {
				t.Fatal("what was remembered has changed")
			}
			s, tops = next, nextTops
			all, needs = append(all, next[len(next)-1]), append(needs, peak{now, l.Concurrency})

			var busy, whole float64
			for _, one := range all {
				if in := min(one.length, time.Minute-now.Sub(one.end)).Seconds(); in > 0 {
					busy, whole = busy+one.flight*in, whole+in
				}
			}
			m := s.mean(now, time.Minute)
			if math.Abs(m.flight-busy/whole) > 1e-9 || math.Abs(m.load-2*m.flight) > 1e-9 {
				t.Fatalf("%v in flight, want %v", m.flight, busy/whole)
			}
			top := 0.0
			for _, one := range needs {
				if now.Sub(one.at) < time.Minute {
					top = max(top, one.need)
				}
			}
			if tops.top() != top {
				t.Fatalf("top %v, want %v", tops.top(), top)
			}
		}
	}
}

// TestTrend puts a line through lines: with time it is exact.
func TestTrend(t *testing.T) {
	var tr trend
	for i := range 1000 {
		tr = tr.next(5+0.25*float64(2*i), 2*time.Second, time.Minute, i == 0)
	}
	if got, want := tr.at(30*time.Second), 5+0.25*(2*999+30); math.Abs(got-want) > 0.01 {
		t.Errorf("%v, want %v", got, want)
	}
	if got := (trend{level: 1, slope: -1}).at(time.Minute); got != 0 {
		t.Errorf("%v", got)
	}
}

func TestPlanFaults(t *testing.T) {
	bad := Pace{Stable: -1, Panic: -1, PanicAt: 1, Tolerance: 1, Hold: -1, Growth: math.Inf(1), Ahead: -1}
	_, errU := Utilization(UtilizationConfig{Slots: math.NaN(), Utilization: 1.5, Staffing: -1, Pace: bad})
	_, errR := Requests(RequestsConfig{Rate: -1, Utilization: math.NaN(), Pace: bad})
	for _, tt := range []struct {
		err   error
		of    string
		words string
	}{
		{errU, "UtilizationConfig", "Slots Utilization Staffing Pace.Stable Pace.Panic Pace.PanicAt Pace.Tolerance Pace.Hold Pace.Growth Pace.Ahead"},
		{errR, "RequestsConfig", "Rate Utilization Pace.Stable Pace.Panic Pace.PanicAt Pace.Tolerance Pace.Hold Pace.Growth Pace.Ahead"},
	} {
		for word := range strings.FieldsSeq(tt.words) {
			if !strings.Contains(fmt.Sprint(tt.err), "autoscale: "+tt.of+"."+word+" ") {
				t.Errorf("%s is not named in\n%v", word, tt.err)
			}
		}
	}
	for _, p := range []Pace{{Panic: time.Hour}, {Hold: time.Second}, {Stable: time.Second, Panic: 2 * time.Second}, {Tolerance: math.NaN()}, {PanicAt: math.NaN()}} {
		if _, err := Requests(RequestsConfig{Pace: p}); err == nil {
			t.Errorf("%+v passed", p)
		}
	}
	for _, p := range []Pace{{Stable: time.Second}, {Stable: time.Hour}, {Tolerance: -1}} {
		if _, err := Requests(RequestsConfig{Pace: p}); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if _, err := Utilization(UtilizationConfig{Staffing: 1, Utilization: 0.5}); err == nil {
		t.Error("Staffing and Utilization passed together")
	}
}
