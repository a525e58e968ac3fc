package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/testbed"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// fault is what befalls some backends for a while, the first of them.
type fault struct {
	kind     string
	amount   float64
	count    int
	from, to time.Duration
}

// parseFault reads KIND[=X]:COUNT@FROM-TO.
func parseFault(s string) (f fault, err error) {
	what, when, ok := strings.Cut(s, "@")
	head, count, ok2 := strings.Cut(what, ":")
	from, to, ok3 := strings.Cut(when, "-")
	if !ok || !ok2 || !ok3 {
		return f, fmt.Errorf("%q is not like fail=1:1@20s-40s", s)
	}
	kind, amount, has := strings.Cut(head, "=")
	f.kind = kind
	switch kind {
	case "slow", "fail", "hang":
		f.amount, err = strconv.ParseFloat(amount, 64)
		if err != nil || !(f.amount > 0 && f.amount <= 1) {
			return f, fmt.Errorf("%q needs a share above 0 and up to 1, such as %s=0.5", head, kind)
		}
	case "down", "leave":
		if has {
			return f, fmt.Errorf("%s has no amount", kind)
		}
	default:
		return f, fmt.Errorf("%q is none of slow, fail, hang, down and leave", kind)
	}
	if f.count, err = strconv.Atoi(count); err != nil || f.count < 1 {
		return f, fmt.Errorf("%q is not a number of backends", count)
	}
	if f.from, err = time.ParseDuration(from); err != nil || f.from < 0 {
		return f, fmt.Errorf("%q is not a time like 20s", from)
	}
	if f.to, err = time.ParseDuration(to); err != nil || f.to <= f.from {
		return f, fmt.Errorf("%q is not a time after %s", to, from)
	}
	return f, nil
}

// edit makes the fault begin or end.
func (f fault) edit(on bool) func(*sim.Backend) {
	return func(b *sim.Backend) {
		switch f.kind {
		case "slow":
			if on {
				b.Speed *= f.amount
			} else {
				b.Speed /= f.amount
			}
		case "fail":
			b.Fail = pick(on, f.amount, 0)
		case "hang":
			b.Hang = pick(on, f.amount, 0)
		case "down":
			b.Down = on
		case "leave":
			b.Absent = on
		}
	}
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// fleet returns the backends as they are at first.
func (o *options) fleet() []sim.Backend {
	fleet := sim.Fleet(o.backends, sim.Backend{Cores: o.cores, Speed: 1, FailAfter: sim.Fixed(time.Millisecond)})
	for i := range fleet {
		if o.backends > 1 {
			fleet[i].Speed = 1 - o.uneven + 2*o.uneven*float64(i)/float64(o.backends-1)
		}
		if o.swap > 0 && i%2 == 0 {
			fleet[i].Cores /= 2
		}
	}
	return fleet
}

// capacity returns the cores of all backends, each counting for its speed.
func (o *options) capacity() (cores float64) {
	for _, b := range o.fleet() {
		cores += b.Cores * b.Speed
	}
	return cores
}

// config returns the world for a policy.
func (o *options) config(policy string) sim.Config {
	if o.paper {
		c := testbed.Bed(o.seed, o.load, o.warmup, o.duration)
		c.Timeout, c.Tries, c.Hedge, c.Changes = o.timeout, sim.Tries{Max: o.tries}, lb.Hedge{After: o.hedge}, o.changes()
		return use(c, policy)
	}
	c := sim.Config{
		Seed: o.seed, Clients: o.clients, Backends: o.fleet(), Work: o.dist, Timeout: o.timeout,
		Tries: sim.Tries{Max: o.tries}, Hedge: lb.Hedge{After: o.hedge}, Warmup: o.warmup, Duration: o.duration,
		Arrivals: o.stream(), Changes: o.changes(), Probe: sim.Probe{Delay: o.network},
	}
	if !o.fifo {
		c.Discipline = sim.Sharing
	}
	if o.network > 0 {
		c.Network = sim.Fixed(o.network)
	}
	if o.swap > 0 && o.backends > 1 {
		c.Antagonists = sim.Antagonists{Every: o.swap, Pairs: max(1, o.backends/10)}
	}
	return use(c, policy)
}

func (o *options) changes() (changes []sim.Change) {
	for _, f := range o.faults {
		for i := range f.count {
			changes = append(changes, sim.Change{At: f.from, Backend: i, Edit: f.edit(true)}, sim.Change{At: f.to, Backend: i, Edit: f.edit(false)})
		}
	}
	return changes
}

func (o *options) stream() sim.Arrivals {
	switch o.arrivals {
	case "regular":
		return sim.Regular(o.rate)
	case "bursts":
		return sim.States{
			{Rate: 2 * o.rate, Stay: sim.Exponential(time.Second), Together: true},
			{Rate: o.rate / 2, Stay: sim.Exponential(2 * time.Second), Together: true},
		}
	case "diurnal":
		return sim.Diurnal{Rate: o.rate, Swing: 0.5, Period: o.warmup + o.duration}
	}
	return sim.Poisson(o.rate)
}
