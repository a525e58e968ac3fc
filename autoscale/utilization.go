package autoscale

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// UtilizationConfig is how Utilization plans.
type UtilizationConfig struct {
	// Slots is how many requests one backend serves at once without making them wait. Zero
	// means 100.
	Slots float64
	// Utilization is which share of the slots is to be in use. Zero means 0.7; it cannot be
	// above 1.
	Utilization float64
	// Staffing replaces Utilization by square-root staffing if it is not zero: R requests in
	// flight get R + Staffing*sqrt(R) slots, which keeps the chance to wait about the same at
	// every size, while the share in use grows with the size. With 1, about one request in five
	// waits; with 2, one in twenty.
	Staffing float64
	// Pace is how the plan moves.
	Pace Pace
}

// Utilization is the plan that keeps a share of what the backends can serve at once in use. It
// needs Scaler.Observer in every balancer of the pool.
//
// The load R is the mean number of requests in flight, integrated over a window: by Little's law
// the rate of requests times the time that each takes. The plan wants R / (Slots*Utilization)
// backends, rounded up, as Knative and Kubernetes do.
//
// When more is in flight than the fit backends have slots, requests wait, and the wait is no
// need: a queue of a minute would call for many times the backends that end it. R is then the
// rate times what a request took before the queue began, unless that was longer than
// Pace.Stable. If that rate does not explain the queue, and for as long as Pace.Stable the queue
// does not shrink, requests have become slower, and R is at least all slots.
//
// The error names every field that is wrong. Deciding costs time and memory in the intervals
// that Pace.Stable and Pace.Hold contain, and none in the number of backends.
func Utilization(cfg UtilizationConfig) (Plan, error) {
	const of = "UtilizationConfig"
	errs := cfg.Pace.faults(of)
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("autoscale: "+of+"."+format, args...))
		}
	}
	add(cfg.Slots != 0 && !within(cfg.Slots, 0), "Slots %v is not above zero; zero means 100", cfg.Slots)
	add(cfg.Utilization != 0 && !(cfg.Utilization > 0 && cfg.Utilization <= 1), "Utilization %v is not above 0 and at most 1; zero means 0.7", cfg.Utilization)
	add(cfg.Staffing != 0 && !within(cfg.Staffing, 0), "Staffing %v is not above zero; zero means none, 1 is usual", cfg.Staffing)
	add(cfg.Staffing != 0 && cfg.Utilization != 0, "Staffing %v and Utilization %v exclude each other; leave one zero", cfg.Staffing, cfg.Utilization)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	slots, share := cmp.Or(cfg.Slots, 100), cmp.Or(cfg.Utilization, 0.7)
	need := func(r float64) float64 { return r / (slots * share) }
	if cfg.Staffing != 0 {
		need = func(r float64) float64 { return (r + cfg.Staffing*math.Sqrt(r)) / slots }
	}
	return tracking{pace: cfg.Pace.defaults(), slots: slots, need: need}, nil
}
