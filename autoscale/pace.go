package autoscale

import (
	"cmp"
	"fmt"
	"math"
	"time"
)

// Pace is how a plan made by Utilization or Requests moves with its load. The zero value is
// documented field by field; the figures are those of Knative's autoscaler (windows, panic) and
// of Kubernetes' horizontal one (tolerance, hold).
type Pace struct {
	// Stable is the window over which load is averaged. Zero means 60s.
	Stable time.Duration
	// Panic is the short window beside it. Zero means 6s; it cannot be longer than Stable.
	Panic time.Duration
	// PanicAt is how many times the fit backends the short window must call for, to begin a
	// panic: up is then decided by the short window, and nothing goes down until that has not
	// been so for as long as Stable. Zero means 2; it must be above 1.
	PanicAt float64
	// Tolerance is by which share need and backends may differ without a move. Zero means 0.1,
	// a negative one none; it must be below 1.
	Tolerance float64
	// Hold is how far down looks back: backends go only down to the most that either window has
	// called for within it. Zero means 300s; it cannot be shorter than Stable.
	Hold time.Duration
	// Growth bounds one step up: to Growth times as many backends as are fit, or to four more if
	// that is more. Zero means 10; it must be above 1.
	Growth float64
	// Ahead adds a forecast of the load that far into the future: the time that a launch takes.
	// It only moves up, and not in a panic. Zero means no forecast.
	Ahead time.Duration
}

// faults lists what is wrong with a Pace of the Config named.
func (p Pace) faults(of string) (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("autoscale: "+of+".Pace."+format, args...))
		}
	}
	full := p.defaults()
	add(p.Stable < 0, "Stable %v is negative; zero means 60s", p.Stable)
	add(p.Panic < 0, "Panic %v is negative; zero means 6s", p.Panic)
	add(p.Stable >= 0 && full.Panic > full.Stable, "Panic %v is longer than Stable %v; give both, the short one in Panic", full.Panic, full.Stable)
	add(p.PanicAt != 0 && !within(p.PanicAt, 1), "PanicAt %v is not above 1; zero means 2", p.PanicAt)
	add(!(p.Tolerance < 1), "Tolerance %v is not below 1; zero means 0.1", p.Tolerance)
	add(p.Hold < 0, "Hold %v is negative; zero means 300s", p.Hold)
	add(p.Hold >= 0 && full.Hold < full.Stable, "Hold %v is shorter than Stable %v; zero means 300s", full.Hold, full.Stable)
	add(p.Growth != 0 && !within(p.Growth, 1), "Growth %v is not above 1; zero means 10", p.Growth)
	add(p.Ahead < 0, "Ahead %v is negative; zero means no forecast", p.Ahead)
	return errs
}

// within reports whether x is a number above low.
func within(x, low float64) bool { return x > low && !math.IsInf(x, 0) }

// defaults fills the zero fields in.
func (p Pace) defaults() Pace {
	p.Stable = cmp.Or(p.Stable, 60*time.Second)
	p.Panic = cmp.Or(p.Panic, min(6*time.Second, p.Stable))
	p.PanicAt = cmp.Or(p.PanicAt, 2)
	p.Tolerance = max(0, cmp.Or(p.Tolerance, 0.1))
	p.Hold = cmp.Or(p.Hold, max(300*time.Second, p.Stable))
	p.Growth = cmp.Or(p.Growth, 10)
	return p
}
