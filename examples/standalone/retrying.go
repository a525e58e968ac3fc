package main

import (
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
)

// retrying is what the flags say about further tries.
type retrying struct {
	retries  int
	statuses string
	hedge    string
	maxRest  time.Duration
	retry    lb.Retry
	parsed   lb.Hedge
}

func (r *retrying) flags(fs *flag.FlagSet) {
	fs.IntVar(&r.retries, "retries", 1, "further backends to try when one fails and it is safe; 0 for none")
	fs.StringVar(&r.statuses, "retry-statuses", "", "comma-separated `statuses` that are tried on another backend, such as 502,503,504 (default: none)")
	fs.DurationVar(&r.maxRest, "max-rest", 30*time.Second, "for how long a backend is left alone at most that says Retry-After with one of -retry-statuses; 0 for not at all")
	fs.BoolVar(&r.retry.IdempotencyKey, "idempotency-key", false, "requests with the header Idempotency-Key may be sent twice, whatever their method")
	fs.DurationVar(&r.retry.TryTimeout, "try-timeout", 0, "how long each try may take to begin its answer; 0 for -header-timeout alone")
	fs.StringVar(&r.hedge, "hedge", "", "ask a second backend `after` a time, such as 50ms, or a quantile of recent answers, such as p95 (default: never)")
}

// check reads the flags that are lists or have two forms.
func (r *retrying) check() error {
	var errs []error
	if r.retries < 0 {
		errs = append(errs, fmt.Errorf("-retries %d is below zero", r.retries))
	}
	for word := range strings.SplitSeq(r.statuses, ",") {
		if word == "" && r.statuses == "" {
			continue
		}
		status, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || status < 400 || status > 599 {
			errs = append(errs, fmt.Errorf("-retry-statuses: %q is not a status from 400 to 599", word))
		}
		r.retry.Statuses = append(r.retry.Statuses, status)
	}
	if r.retry.TryTimeout < 0 {
		errs = append(errs, fmt.Errorf("-try-timeout %v is below zero", r.retry.TryTimeout))
	}
	if r.maxRest < 0 {
		errs = append(errs, fmt.Errorf("-max-rest %v is below zero; 0 means not at all", r.maxRest))
	}
	if err := r.readHedge(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (r *retrying) readHedge() error {
	if r.hedge == "" {
		return nil
	}
	if r.retries == 0 {
		return errors.New("-hedge needs a second try; leave -retries at 1 or more")
	}
	if percent, ok := strings.CutPrefix(r.hedge, "p"); ok {
		if n, err := strconv.ParseFloat(percent, 64); err == nil && n > 0 && n < 100 {
			r.parsed.Quantile = n / 100
			return nil
		}
	} else if d, err := time.ParseDuration(r.hedge); err == nil && d > 0 {
		r.parsed.After = d
		return nil
	}
	return fmt.Errorf("-hedge %q is neither a time like 50ms nor a quantile like p95", r.hedge)
}

// apply puts it into a balancer's configuration.
func (r *retrying) apply(cfg *lb.Config) {
	cfg.Retries, cfg.Retry, cfg.Hedge = r.retries, r.retry, r.parsed
	if r.retries == 0 {
		cfg.Retries = -1
	}
	switch {
	case r.maxRest == 0:
		cfg.Retry.MaxRest = -1
	case r.statuses != "":
		cfg.Retry.MaxRest = r.maxRest
	}
}
