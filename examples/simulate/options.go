package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// options are what the command line says.
type options struct {
	policies                      []string
	clients, backends, tries      int
	cores, load, uneven           float64
	arrivals, work, file          string
	dist                          sim.Dist
	fifo                          bool
	network, timeout, hedge, swap time.Duration
	warmup, duration              time.Duration
	seed                          uint64
	faults                        []fault
	rate                          float64 // requests per second: load times what the backends can do
	line                          string  // the command line, for the charts
	sweep                         sweep   // no values: none
	paper                         bool
	keys                          int
}

// parse reads the command line. The error names what is wrong, and the cure; flag.ErrHelp means
// that the usage was asked for and written.
func parse(args []string, usage io.Writer) (*options, error) {
	o := &options{line: "simulate " + strings.Join(args, " ")}
	fs := flag.NewFlagSet("simulate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	policies := fs.String("policies", "random,round-robin,least-loaded,power-of-two,peak-ewma,adaptive",
		"comma-separated `names` of policies to compare, or all, for one of each kind: "+forms)
	fs.IntVar(&o.clients, "clients", 10, "balancers that share the backends, each seeing its own requests only")
	fs.IntVar(&o.backends, "backends", 20, "backends")
	fs.Float64Var(&o.cores, "cores", 4, "cores of each")
	fs.Float64Var(&o.uneven, "uneven", 0, "how much the backends differ in speed, 0 to 0.9: from 1-x to 1+x in equal steps")
	fs.Float64Var(&o.load, "load", 0.8, "requests as a share of what all backends together can do")
	fs.StringVar(&o.arrivals, "arrivals", "poisson", "how requests come: poisson, regular, bursts (twice as many for a second, then half) or diurnal (up and down once)")
	fs.StringVar(&o.work, "work", "exponential:50ms", "how long a request takes: fixed:T, exponential:MEAN, normal:MEAN,SD, lognormal:MEDIAN,SIGMA or pareto:MIN,ALPHA")
	fs.BoolVar(&o.fifo, "fifo", false, "one request at a time on each core, the others wait (default: all share the cores)")
	fs.DurationVar(&o.network, "network", time.Millisecond, "time to a backend, and back")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long a request may take; 0 for as long as it likes")
	fs.IntVar(&o.tries, "tries", 0, "further backends to try when one fails, out of the balancer's budget")
	fs.DurationVar(&o.hedge, "hedge", 0, "ask a second backend after this `time`; 0 for never")
	fs.DurationVar(&o.swap, "antagonists", 0, "swap the cores of two tenths of the backends this often, of which half have half as many; 0 for never")
	fs.DurationVar(&o.warmup, "warmup", 10*time.Second, "virtual time that does not count")
	fs.DurationVar(&o.duration, "duration", time.Minute, "virtual time that does")
	fs.Uint64Var(&o.seed, "seed", 1, "`number` that makes the run: the same one gives the same events")
	fs.StringVar(&o.file, "o", "", "`file` for the charts, .svg or .html")
	fs.BoolVar(&o.paper, "testbed", false, "the test bed of the paper on Prequal: 100 balancers, 100 backends promised 6.4 cores each, -load in what they are promised")
	fs.IntVar(&o.keys, "keys", 0, "instead of a simulation, where so many `keys` go, and how many move when backends come and go")
	fs.Func("sweep", "`NAME=VALUE,VALUE`..., a run for each value of load, clients, backends or uneven; the charts are by them", func(s string) (err error) {
		o.sweep, err = parseSweep(s)
		return err
	})
	fs.Func("fault", "`KIND[=X]:COUNT@FROM-TO`, repeatable: slow (to a share X of the speed), fail or hang (a share X of the requests), down, or leave; such as fail=1:1@20s-40s", func(s string) error {
		f, err := parseFault(s)
		o.faults = append(o.faults, f)
		return err
	})
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(usage, "Simulate compares policies on a simulated fleet.\n\n\tgo run ./examples/simulate -load 0.9 -o simulation.html\n\n")
			fs.SetOutput(usage)
			fs.PrintDefaults()
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a flag; flags begin with -", fs.Arg(0))
	}
	return o, o.check(*policies)
}

// check returns all that is wrong, and works out what follows from the rest.
func (o *options) check(policies string) error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	errs = append(errs, o.choose(policies))
	errs = append(errs, o.size())
	wrong(!(o.cores >= 0.1 && o.cores <= 10_000), "-cores %v is not between 0.1 and 10000", o.cores)
	wrong(o.tries < 0, "-tries %d is below zero", o.tries)
	wrong(!slices.Contains([]string{"poisson", "regular", "bursts", "diurnal"}, o.arrivals), "-arrivals %q is none of poisson, regular, bursts and diurnal", o.arrivals)
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{
		{"-network", o.network, 0}, {"-timeout", o.timeout, 0}, {"-hedge", o.hedge, 0}, {"-antagonists", o.swap, 0},
		{"-warmup", o.warmup, 0}, {"-duration", o.duration, time.Millisecond},
	} {
		wrong(d.value < d.least || d.value > 30*24*time.Hour, "%s %v is not between %v and 720h", d.flag, d.value, d.least)
	}
	ext := filepath.Ext(o.file)
	wrong(o.file != "" && ext != ".svg" && ext != ".html", "-o %q ends neither in .svg nor in .html", o.file)
	for _, f := range o.faults {
		wrong(f.kind == "hang" && o.timeout == 0, "-fault hang needs a -timeout")
	}
	wrong(o.keys < 0 || o.keys > 10_000_000, "-keys %d is not between 0 and 10000000", o.keys)
	wrong(o.keys > 0 && o.sweep.values != nil, "-keys has no -sweep")
	wrong(o.paper && o.sweep.values != nil && o.sweep.name != "load", "-testbed has a -sweep of load only")
	if o.paper {
		o.clients, o.backends, o.cores, o.uneven, o.swap, o.network = 100, 100, testbed.Allocation, 0, 0, 0
		o.work, o.arrivals, o.fifo = "normal:80ms,80ms", "poisson", false
	}
	var err error
	o.dist, err = parseWork(o.work)
	if err = errors.Join(append(errs, err)...); err != nil {
		return err
	}
	for _, v := range o.sweep.values {
		with, err := o.at(v)
		if err = errors.Join(with.size(), err); err != nil {
			return err
		}
	}
	return o.plan()
}

// size returns what is wrong with what may be swept.
func (o *options) size() error {
	switch {
	case o.clients < 1 || o.clients > 10_000:
		return fmt.Errorf("-clients %d is not between 1 and 10000", o.clients)
	case o.backends < 1 || o.backends > 10_000:
		return fmt.Errorf("-backends %d is not between 1 and 10000", o.backends)
	case !(o.uneven >= 0 && o.uneven <= 0.9):
		return fmt.Errorf("-uneven %v is not between 0 and 0.9", o.uneven)
	case !(o.load > 0 && o.load <= 10):
		return fmt.Errorf("-load %v is not above 0 and at most 10", o.load)
	case o.load >= 1 && o.timeout == 0:
		return fmt.Errorf("-load %v is more than the backends can do; give it a -timeout", o.load)
	}
	for _, f := range o.faults {
		if f.count > o.backends {
			return fmt.Errorf("-fault %s is for %d of %d backends", f.kind, f.count, o.backends)
		}
	}
	return nil
}

// plan works out the rate.
func (o *options) plan() error {
	o.rate = o.load * o.capacity() / mean(o.dist).Seconds()
	if o.paper {
		o.rate = testbed.Rate(o.backends, o.load)
	}
	if n := o.rate * (o.warmup + o.duration).Seconds(); n > 1e8 {
		return fmt.Errorf("that makes %.0f requests for each policy, more than 1e8; shorten -duration", n)
	}
	return nil
}

// parseWork reads a distribution, KIND:ARGUMENTS.
func parseWork(s string) (sim.Dist, error) {
	kind, rest, _ := strings.Cut(s, ":")
	first, second, two := strings.Cut(rest, ",")
	d, err := time.ParseDuration(first)
	if err != nil || d <= 0 || d > 24*time.Hour {
		return nil, fmt.Errorf("-work %q: %q is not a time between 0 and 24h, such as 50ms", s, first)
	}
	switch {
	case kind == "fixed" && !two:
		return sim.Fixed(d), nil
	case kind == "exponential" && !two:
		return sim.Exponential(d), nil
	case kind == "normal" && two:
		sd, err := time.ParseDuration(second)
		if err != nil || sd < 0 || sd > 24*time.Hour {
			return nil, fmt.Errorf("-work %q: %q is not a time, such as 50ms", s, second)
		}
		return sim.Normal{Mean: d, SD: sd}, nil
	}
	x, err := strconv.ParseFloat(second, 64)
	switch {
	case kind == "lognormal" && err == nil && x >= 0 && x <= 3:
		return sim.LogNormal{Median: d, Sigma: x}, nil
	case kind == "pareto" && err == nil && x > 1 && x <= 100:
		return sim.Pareto{Min: d, Alpha: x, Max: 1000 * d}, nil
	}
	return nil, fmt.Errorf("-work %q is none of fixed:T, exponential:MEAN, normal:MEAN,SD, lognormal:MEDIAN,SIGMA up to 3 and pareto:MIN,ALPHA above 1", s)
}

// mean returns about the mean of a distribution.
func mean(d sim.Dist) time.Duration {
	const draws = 200_000
	r, sum := rand.New(rand.NewPCG(1, 1)), 0.0
	for range draws {
		sum += float64(max(0, d.Draw(r)))
	}
	return max(1, time.Duration(sum/draws))
}
