package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/demo"
	"github.com/go-loadbalancer/lb/lbtest/sim"
	"github.com/go-loadbalancer/lb/picker"
)

// forms are the names that a policy may have here. Some differ from those of the standalone
// example, because there are many balancers: each has its own place, or its own salt.
const forms = demo.Policies + `; here aperture[:POLICY] gives each balancer its own place, prequal:QUANTILE is another one, and prequal goes into subset and aperture only`

// all are the policies that -policies all stands for.
func all() []string {
	return []string{
		"random", "round-robin", "weighted", "weighted-random", "least-loaded", "power-of-two", "power-of:3", "peak-ewma", "adaptive", "prequal",
		"weighted-by-load", "hash-client", "rendezvous:client", "maglev:client", "ring:client", "bounded:1.25", "subset:10", "aperture", "priority",
	}
}

// asking makes a client's policy, and what the answers to its probes go to, which is nil for those
// that ask for none.
type asking func(client, clients int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time))

// find returns the policy of that name.
func find(name string) (asking, error) {
	kind, arg, _ := strings.Cut(name, ":")
	switch kind {
	case "prequal":
		return prequal(name, arg)
	case "subset":
		return subset(name, arg)
	case "aperture":
		if !strings.Contains(arg, "/") {
			return aperture(arg)
		}
	}
	if arg != "" && (strings.Contains(arg, "prequal") || strings.Contains(arg, "subset")) {
		return nil, fmt.Errorf("%q: prequal and subset need what belongs to each balancer; put them outside, or into subset or aperture", name)
	}
	if _, err := demo.PolicyNamed(name, nil); err != nil {
		return nil, err
	}
	return func(int, int, func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		return lb.Must(demo.PolicyNamed(name, nil)).Policy, nil
	}, nil
}

// prequal asks by the simulator's probes. Its argument is the quantile.
func prequal(name, arg string) (asking, error) {
	cfg := picker.PrequalConfig{}
	if arg != "" {
		var err error
		if cfg.Quantile, err = strconv.ParseFloat(arg, 64); err != nil {
			return nil, fmt.Errorf("%q: %q is not a number", name, arg)
		}
	}
	if _, err := picker.NewPrequal(cfg); err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return func(_, _ int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		mine := cfg
		mine.Ask = ask
		p := lb.Must(picker.NewPrequal(mine))
		return p.Policy, p.Answer
	}, nil
}

// inner returns the policy inside another; power-of-two if it has no name.
func inner(name string) (asking, error) {
	if name == "" {
		name = "power-of-two"
	}
	return find(name)
}

// subset has a salt for each balancer, and always the same.
func subset(name, arg string) (asking, error) {
	number, rest, _ := strings.Cut(arg, ":")
	size, err := strconv.Atoi(number)
	if err != nil || size < 1 {
		return nil, fmt.Errorf("%q: %q is not a number above zero", name, number)
	}
	inside, err := inner(rest)
	return func(client, clients int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		p, answer := inside(client, clients, ask)
		return lb.Must(picker.Subset(picker.SubsetConfig{Inner: p, Size: size, Salt: strconv.Itoa(client)})), answer
	}, err
}

// aperture has the balancer's place.
func aperture(rest string) (asking, error) {
	inside, err := inner(rest)
	return func(client, clients int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
		p, answer := inside(client, clients, ask)
		return lb.Must(picker.Aperture(picker.ApertureConfig{Inner: p, Index: client, Balancers: clients})), answer
	}, err
}

// use gives the clients of a world the policy of that name, which is known.
func use(c sim.Config, name string) sim.Config {
	build, clients := lb.Must(find(name)), c.Clients
	if strings.Contains(name, "prequal") {
		c.Probe.Policy = func(client int, ask func(*lb.Backend)) (lb.Policy, func(*lb.Backend, lb.Report, time.Time)) {
			return build(client, clients, ask)
		}
		return c
	}
	c.Probe.Reports = strings.Contains(name, "weighted-by-load")
	c.Policy = func(client int) lb.Policy {
		p, _ := build(client, clients, nil)
		return p
	}
	return c
}

// choose reads -policies.
func (o *options) choose(policies string) error {
	if policies == "all" {
		o.policies = all()
		return nil
	}
	seen := make(map[string]bool)
	var errs []error
	for name := range strings.SplitSeq(policies, ",") {
		name = strings.TrimSpace(name)
		if _, err := find(name); err != nil {
			errs = append(errs, fmt.Errorf("-policies: %w", err))
		}
		if !seen[name] {
			o.policies = append(o.policies, name)
		}
		seen[name] = true
	}
	return errors.Join(errs...)
}
