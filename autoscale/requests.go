package autoscale

import (
	"cmp"
	"errors"
	"fmt"
)

// RequestsConfig is how Requests plans.
type RequestsConfig struct {
	// Rate is how many requests per second one backend can serve. Zero means 200.
	Rate float64
	// Utilization is which share of it is to be in use. Zero means 0.7; it cannot be above 1.
	Utilization float64
	// Pace is how the plan moves.
	Pace Pace
}

// Requests is the plan that keeps the requests per second of each backend at a share of what it
// can serve: it wants rate / (Rate*Utilization) backends, rounded up. It needs Scaler.Observer in
// every balancer of the pool.
//
// All requests that begin count, answered or not, so that clients who wait or are refused are
// load. A rate knows nothing of what a request costs: when requests become slower, only
// Utilization sees it. The error names every field that is wrong; the cost is that of Utilization.
func Requests(cfg RequestsConfig) (Plan, error) {
	const of = "RequestsConfig"
	errs := cfg.Pace.faults(of)
	if cfg.Rate != 0 && !within(cfg.Rate, 0) {
		errs = append(errs, fmt.Errorf("autoscale: "+of+".Rate %v is not above zero; zero means 200", cfg.Rate))
	}
	if cfg.Utilization != 0 && !(cfg.Utilization > 0 && cfg.Utilization <= 1) {
		errs = append(errs, fmt.Errorf("autoscale: "+of+".Utilization %v is not above 0 and at most 1; zero means 0.7", cfg.Utilization))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	each := cmp.Or(cfg.Rate, 200) * cmp.Or(cfg.Utilization, 0.7)
	return tracking{pace: cfg.Pace.defaults(), need: func(r float64) float64 { return r / each }}, nil
}
