package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strconv"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/limit"
)

// adapting is what the command line says about limits that follow latency, and about pauses.
type adapting struct {
	where    string
	most     int
	priority string // name of a header
	pauses   bool
}

func (a *adapting) flags(fs *flag.FlagSet) {
	fs.StringVar(&a.where, "adaptive", "off", "limit requests in flight by their latency: off, backends (each), all (together) or both")
	fs.IntVar(&a.most, "adaptive-max", 1000, "greatest such limit")
	fs.StringVar(&a.priority, "adaptive-priority", "X-Priority", "for -adaptive all: request `header` with a number from -4 to 0; the lowest are refused first")
	fs.BoolVar(&a.pauses, "pauses", true, "do not hold against backends what this program slept")
}

func (a *adapting) check() error {
	var errs []error
	switch a.where {
	case "off", "backends", "all", "both":
	default:
		errs = append(errs, fmt.Errorf("-adaptive %q is none of off, backends, all and both", a.where))
	}
	if _, err := limit.NewAdaptive(a.config()); err != nil || a.most < 1 {
		errs = append(errs, fmt.Errorf("-adaptive-max %d is not between 1 and 1,000,000", a.most))
	}
	return errors.Join(errs...)
}

func (a *adapting) config() limit.AdaptiveConfig {
	return limit.AdaptiveConfig{Max: a.most, Priority: func(r *http.Request) int {
		n, _ := strconv.Atoi(r.Header.Get(a.priority)) // who says nothing is important, and nobody more so
		return n
	}}
}

// addAdapting puts limits around the balancer and before its breakers, and measures pauses.
func (a *app) addAdapting() (err error) {
	if a.adapting.pauses {
		a.cfg.Pauses = new(lb.Pauses)
		a.runners = append(a.runners, a.cfg.Pauses)
		a.recorder.Gauge("loadbalancer_paused_seconds", func() float64 { return a.cfg.Pauses.Lost().Seconds() })
	}
	cfg := a.adapting.config()
	if a.adapting.where == "backends" || a.adapting.where == "both" {
		limits, err := limit.NewBackends(cfg, a.cfg.Breakers)
		if err != nil {
			return err
		}
		a.cfg.Breakers = limits.Breaker
		a.features = append(a.features, "adaptive limits")
	}
	if a.adapting.where == "all" || a.adapting.where == "both" {
		refused := a.recorder.Counter("loadbalancer_overload_refused_total")
		cfg.OnRefused = func(*http.Request) { refused.Inc() }
		if a.overall, err = limit.NewAdaptive(cfg); err != nil {
			return err
		}
		a.cfg.Observers = append(a.cfg.Observers, a.overall.Observer())
		a.recorder.Gauge("loadbalancer_adaptive_limit", func() float64 { return float64(a.overall.Limit()) })
		a.features = append(a.features, "adaptive limit of all requests")
	}
	return nil
}
