package autoscale

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// loads are what plans are compared under: backends with 10 slots, requests of 300ms, starts of
// 30s, nobody who gives up waiting.
func loads() map[string]world {
	with := func(length float64, first int, rate func(float64) float64) world {
		return world{slots: 10, service: 0.3, startup: 30, length: length, first: first, rate: rate}
	}
	return map[string]world{
		"constant": with(4200, 12, func(float64) float64 { return 345 }),
		"step":     with(1800, 5, func(t float64) float64 { return stepped(t >= 120) }),
		"ramp":     with(1800, 5, func(t float64) float64 { return 100 + 900*min(1, max(0, (t-120)/600)) }),
		"sine":     with(3600, 24, func(t float64) float64 { return 550 + 450*math.Sin(t*2*math.Pi/3600) }),
		"on/off":   with(1800, 5, func(t float64) float64 { return stepped(math.Mod(t, 30) >= 15) }),
	}
}

// stepped is ten times as much, or not.
func stepped(is bool) float64 {
	if is {
		return 1000
	}
	return 100
}

// compared are the plans. The seed rule comes as it is and with the threshold that its first load
// calls for.
func compared() map[string]Config {
	utilization := func(p Pace) Config {
		return Config{Plan: lb.Must(Utilization(UtilizationConfig{Slots: 10, Pace: p})), Max: 60}
	}
	return map[string]Config{
		"Step(20)":                 {Plan: Step(20), Max: 60},
		"Step(2000)":               {Plan: Step(2000), Max: 60},
		"Utilization":              utilization(Pace{}),
		"Utilization, PanicAt 1.4": utilization(Pace{PanicAt: 1.4}),
		"Utilization, Ahead 30s":   utilization(Pace{Ahead: 30 * time.Second}),
		"Requests":                 {Plan: lb.Must(Requests(RequestsConfig{Rate: 10 / 0.3})), Max: 60},
	}
}

// TestObligation10 holds the plans to their bounds, with five seeds. With -v it prints the table
// that docs/operations.md has.
func TestObligation10(t *testing.T) {
	single(t)
	worlds, paid, slow := loads(), map[string]float64{}, map[uint64]float64{}
	for name, w := range worlds {
		paid[name] = w.oracle()
	}
	t.Logf("%-26s %-9s %15s %17s %6s %6s", "plan", "load", "backend-seconds", "overload-seconds", "up", "down")
	for _, plan := range []string{"Step(20)", "Step(2000)", "Utilization", "Utilization, PanicAt 1.4", "Utilization, Ahead 30s", "Requests"} {
		for _, load := range []string{"constant", "step", "ramp", "sine", "on/off"} {
			seeds, sum := uint64(5), run{}
			if strings.HasPrefix(plan, "Step") && load != "step" {
				seeds = 1 // nothing is asked of it
			}
			var ups, downs int
			for seed := uint64(1); seed <= seeds; seed++ {
				r := worlds[load].play(compared()[plan], seed)
				if plan == "Step(20)" && load == "step" {
					slow[seed] = r.overload
				}
				if !strings.HasPrefix(plan, "Step") {
					for _, fault := range r.faults(load, worlds[load], paid[load], slow[seed]) {
						t.Errorf("%s, %s, seed %d: %s", plan, load, seed, fault)
					}
				}
				sum.paid, sum.overload = sum.paid+r.paid/float64(seeds), sum.overload+r.overload/float64(seeds)
				ups, downs = ups+len(r.moved(0, 1)), downs+len(r.moved(0, -1))
			}
			t.Logf("%-26s %-9s %15.2f %17.1f %6.1f %6.1f", plan, load, sum.paid/paid[load], sum.overload, float64(ups)/float64(seeds), float64(downs)/float64(seeds))
		}
	}
}

// moved lists the moves in one direction from a second on.
func (r run) moved(from float64, direction int) (moves []simMove) {
	for _, m := range r.moves {
		if m.at >= from && m.by*direction > 0 {
			moves = append(moves, m)
		}
	}
	return moves
}

// faults lists the bounds that a run does not keep. An oracle pays oracle backend-seconds, and the
// seed rule has slow overload-seconds.
func (r run) faults(load string, w world, oracle, slow float64) (faults []string) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	for i, want := range r.wants {
		add(want < 1 || want > 60, "%d backends", want)
		add(load == "on/off" && r.ticks[i] > 120 && float64(want) < 0.9*float64(w.needed(1000)), "%d backends at %.0fs", want, r.ticks[i])
	}
	for _, m := range r.moved(0, -1) {
		add(m.panic, "down in a panic at %.0fs", m.at)
	}
	add(r.paid > 1.35*oracle, "%.2f times the oracle's backend-seconds", r.paid/oracle)
	switch load {
	case "constant":
		settled := r.sizes[len(r.sizes)-1]
		add(len(r.moved(600, 1))+len(r.moved(600, -1)) > 0, "moves when it had settled: %v", r.moves)
		add(math.Abs(float64(settled-w.needed(345))) > 1, "%d backends instead of %d", settled, w.needed(345))
	case "step":
		need := float64(w.needed(1000))
		at, most := r.reached(120, 0.9*need)
		add(at > 130, "reached at %.0fs", at)
		add(float64(most) > 1.2*need, "%d backends instead of %.0f", most, need)
		add(slow > 0 && r.overload > 0.25*slow, "%.0f overload-seconds, the seed rule has %.0f", r.overload, slow)
	case "on/off":
		downs := r.moved(0, -1)
		for i := 1; i < len(downs); i++ {
			add(downs[i].at-downs[i-1].at < 300, "down at %.0fs and at %.0fs", downs[i-1].at, downs[i].at)
		}
	}
	return faults
}

// reached is when so many were first wanted, from a second on, and the most that ever were.
func (r run) reached(from, need float64) (at float64, most int) {
	at = math.Inf(1)
	for i, want := range r.wants {
		if r.ticks[i] >= from && float64(want) >= need {
			at = min(at, r.ticks[i])
		}
		most = max(most, want)
	}
	return at, most
}
