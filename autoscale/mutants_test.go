package autoscale

import (
	"fmt"
	"testing"
)

// mutant is a plan with a defect.
type mutant struct {
	Plan
	blind func(Load) Load               // what it sees; nil: all
	mad   func(tracking, Load, int) int // what it makes of what is right; nil: that
}

func (m mutant) Next(l Load) (Plan, int) {
	if m.blind != nil {
		l = m.blind(l)
	}
	next, want := m.Plan.Next(l)
	if m.mad != nil {
		want = m.mad(next.(tracking), l, want)
	}
	m.Plan = next
	return m, want
}

// spoiled is a config with a mutant of its plan.
func spoiled(cfg Config, change func(*tracking), m mutant) Config {
	plan := cfg.Plan.(tracking)
	if change != nil {
		change(&plan)
	}
	m.Plan = plan
	cfg.Plan = m
	return cfg
}

// TestMutantsDie plants defects and sees the bounds fail.
func TestMutantsDie(t *testing.T) {
	good := compared()["Utilization"]
	blind := func(l Load) Load { l.Failed, l.Fit = 0, l.Backends-l.Starting; return l }
	for _, tt := range []struct {
		name string
		cfg  Config
		load string // of loads or outages
	}{
		{"down in a panic", spoiled(good, nil, mutant{mad: func(t tracking, l Load, want int) int {
			if t.panics(l.Now) && want == l.Backends {
				want-- // what is too much for the long window
			}
			return want
		}}), "step"},
		{"no hold", spoiled(good, func(t *tracking) { t.pace.Hold = 1 }, mutant{}), "on/off"},
		{"no panic", spoiled(good, func(t *tracking) { t.pace.PanicAt = 1e9 }, mutant{}), "step"},
		{"a queue is need", spoiled(good, nil, mutant{mad: func(t tracking, l Load, want int) int {
			return max(want, ceil(t.need(t.past.spans.mean(l.Now, t.pace.Panic).flight)))
		}}), "step"},
		{"those starting do not count", spoiled(good, nil, mutant{mad: func(t tracking, l Load, want int) int {
			return want + l.Starting
		}}), "step"},
		{"an outage is idleness", spoiled(good, nil, mutant{blind: blind}), "nobody"},
		{"failures are idleness", spoiled(good, nil, mutant{blind: blind}), "failing"},
		{"failures call for more", spoiled(good, nil, mutant{mad: func(t tracking, l Load, want int) int {
			if l.crippled() {
				return l.Backends + 1
			}
			return want
		}}), "unfit"},
	} {
		var faults []string
		if w, is := loads()[tt.load]; is {
			faults = w.play(tt.cfg, 1).faults(tt.load, w, w.oracle(), 0)
		} else {
			w := outages()[tt.load]
			faults = w.play(tt.cfg, 1).shrunk(w)
		}
		if len(faults) == 0 {
			t.Errorf("%s: nobody noticed", tt.name)
		} else {
			t.Logf("%s: %s", tt.name, faults[0])
		}
	}
}

// outages begin after five minutes of a steady load and last for twenty: backends are unfit and
// fail what comes, or nobody comes, or they fail the few who come and seem fit.
func outages() map[string]world {
	w := loads()["constant"]
	w.length, w.first = 2400, 15
	w.broken = func(t float64) bool { return t >= 300 && t < 1500 }
	with := func(rate float64, unfit bool) world {
		w.rate, w.unfit = func(t float64) float64 {
			if w.broken(t) {
				return rate
			}
			return 345
		}, unfit
		return w
	}
	return map[string]world{"unfit": with(345, true), "nobody": with(0, true), "failing": with(2, false)}
}

// shrunk reports when an outage, or its end, first moved the pool.
func (r run) shrunk(w world) (faults []string) {
	for i, want := range r.wants {
		if r.ticks[i] > 300 && want != w.first {
			return []string{fmt.Sprintf("%d backends instead of %d at %.0fs", want, w.first, r.ticks[i])}
		}
	}
	return nil
}

// TestOutageIsNotIdleness has every plan live through every outage.
func TestOutageIsNotIdleness(t *testing.T) {
	single(t)
	for name, w := range outages() {
		for _, plan := range []string{"Utilization", "Utilization, Ahead 30s", "Requests"} {
			for seed := uint64(1); seed <= 5; seed++ {
				if faults := w.play(compared()[plan], seed).shrunk(w); len(faults) > 0 {
					t.Errorf("%s, %s, seed %d: %v", name, plan, seed, faults)
				}
			}
		}
	}
}
