package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb/autoscale"
)

// scaling is what the command line says about autoscaling.
type scaling struct {
	name        string
	interval    time.Duration
	threshold   int
	slots, rate float64
	plan        autoscale.Plan
}

func (s *scaling) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.name, "autoscale-plan", "step", "how to decide: step, utilization or requests")
	fs.DurationVar(&s.interval, "autoscale-interval", 15*time.Second, "time between two decisions; 2s if it is not given and the plan is not step")
	fs.IntVar(&s.threshold, "autoscale-threshold", 20, "for the plan step: requests in one interval above which a backend is added")
	fs.Float64Var(&s.slots, "autoscale-slots", 10, "for the plan utilization: requests that one backend serves at once")
	fs.Float64Var(&s.rate, "autoscale-rate", 20, "for the plan requests: requests per second that one backend serves")
}

// check makes the plan. The error names each flag that is out of bounds, or for another plan.
func (s *scaling) check(fs *flag.FlagSet) error {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for _, only := range []struct{ flag, plan string }{{"autoscale-threshold", "step"}, {"autoscale-slots", "utilization"}, {"autoscale-rate", "requests"}} {
		add(given[only.flag] && only.plan != s.name, "-%s is for -autoscale-plan %s, and the plan is %q; leave one of them out", only.flag, only.plan, s.name)
	}
	if !given["autoscale-interval"] && s.name != "step" {
		s.interval = 2 * time.Second
	}
	var err error
	switch s.name {
	case "step":
		add(s.threshold < 1, "-autoscale-threshold %d is below 1", s.threshold)
		s.plan = autoscale.Step(s.threshold)
	case "utilization":
		add(!(s.slots > 0), "-autoscale-slots %v is not above zero", s.slots)
		if s.slots > 0 {
			s.plan, err = autoscale.Utilization(autoscale.UtilizationConfig{Slots: s.slots})
		}
	case "requests":
		add(!(s.rate > 0), "-autoscale-rate %v is not above zero", s.rate)
		if s.rate > 0 {
			s.plan, err = autoscale.Requests(autoscale.RequestsConfig{Rate: s.rate})
		}
	default:
		add(true, "-autoscale-plan %q is none of step, utilization and requests", s.name)
	}
	return errors.Join(append(errs, err)...)
}
