package main

import (
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/go-loadbalancer/lb"
)

// waiting is what the flags say about requests that find no place or nobody who is well, and about
// backends that have just come.
type waiting struct {
	queue              int
	queueTimeout       time.Duration
	backend, slowStart time.Duration
	maxInFlight        int
	panicThreshold     float64
}

func (w *waiting) flags(fs *flag.FlagSet) {
	fs.IntVar(&w.maxInFlight, "max-in-flight", 0, "requests that a backend serves at a time; 0 for no limit")
	fs.IntVar(&w.queue, "queue", 0, "requests that may wait for a place while all backends are full; 0 for none")
	fs.DurationVar(&w.queueTimeout, "queue-timeout", time.Second, "how long they may wait")
	fs.DurationVar(&w.backend, "wait-for-backend", 0, "how long a request may wait while there is no backend; 0 for not at all")
	fs.Float64Var(&w.panicThreshold, "panic-threshold", 0, "share of the backends, 0 to 1, below which those that are out are asked, too; 0 for only when nobody else is left, below 0 for never")
	fs.DurationVar(&w.slowStart, "slow-start", 0, "how long a backend that is new, or back, gets less than its share; 0 for not at all")
}

func (w *waiting) check() error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(w.maxInFlight < 0, "-max-in-flight %d is below zero; 0 means no limit", w.maxInFlight)
	wrong(w.queue < 0, "-queue %d is below zero; 0 means none", w.queue)
	wrong(w.queue > 0 && w.maxInFlight == 0, "-queue needs backends that can be full; set -max-in-flight")
	wrong(w.queueTimeout <= 0, "-queue-timeout %v is not above zero", w.queueTimeout)
	wrong(w.backend < 0, "-wait-for-backend %v is below zero", w.backend)
	wrong(!(w.panicThreshold <= 1), "-panic-threshold %v is not a share up to 1; 0 means only when nobody else is left", w.panicThreshold)
	wrong(w.slowStart < 0, "-slow-start %v is below zero", w.slowStart)
	return errors.Join(errs...)
}

// apply puts it into a balancer's configuration.
func (w *waiting) apply(cfg *lb.Config) {
	cfg.WaitForBackend, cfg.SlowStart.Window, cfg.PanicThreshold = w.backend, w.slowStart, w.panicThreshold
	if w.queue > 0 {
		cfg.Queue = lb.Queue{Length: w.queue, Timeout: w.queueTimeout}
	}
}
