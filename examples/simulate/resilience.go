package main

import (
	"fmt"
	"io"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest/sim"
)

// Pictures for docs/resilience.md: what the simulator's clients, which retry and hedge as balancers
// do, make of a world that gets worse.

// columnsBeside are the heads of a picture's table.
func columnsBeside(what string) []string {
	return []string{"", what, "p50", "p99", "p99.9", "errors", "tries"}
}

// rowBeside is what the table says of a run.
func rowBeside(name, at string, r sim.Report) []string {
	return []string{
		name, at, short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.99)), short(r.Latency.Quantile(0.999)),
		fmt.Sprintf("%.2f %%", 100*float64(r.Errors)/float64(max(1, r.Requests))), fmt.Sprintf("%.3f", attempts(r)),
	}
}

// attempts is how many there were for each request.
func attempts(r sim.Report) float64 { return float64(r.Attempts) / float64(max(1, r.Requests)) }

// retrying shows attempts and failures by the share of attempts that fail, everywhere.
func retrying(o *options, progress io.Writer) (page, error) {
	p := page{
		title: "Retries, when attempts fail", summary: o.summary(), head: columnsBeside("fail"),
		foot: "Fail is the share of attempts that do, whichever backend they meet; errors are requests that failed in the end; tries are attempts for each request.",
	}
	most := chart{title: "Attempts for each request", x: "attempts that fail (%)", y: "attempts", xs: linear(100, ""), ys: linear(3, "")}
	lost := chart{title: "Requests that fail in the end", x: "attempts that fail (%)", y: "% of all requests", xs: linear(100, ""), ys: linear(100, "")}
	for _, kind := range []struct {
		name  string
		tries sim.Tries
	}{
		{"no retries", sim.Tries{}}, {"1 retry", sim.Tries{Max: 1}}, {"2 retries", sim.Tries{Max: 2}},
		{"2, no budget", sim.Tries{Max: 2, Unbounded: true}},
	} {
		a, l := line{name: kind.name}, line{name: kind.name}
		for fail := 0; fail <= 100; fail += 5 {
			c := o.config(o.policies[0])
			c.Tries = kind.tries
			for i := range c.Backends {
				c.Backends[i].Fail = float64(fail) / 100
			}
			r, err := sim.Run(c)
			if err != nil {
				return p, err
			}
			a.at = append(a.at, point{float64(fail), attempts(r)})
			l.at = append(l.at, point{float64(fail), 100 * float64(r.Errors) / float64(max(1, r.Requests))})
			if fail%20 == 0 || fail == 10 {
				p.rows = append(p.rows, rowBeside(kind.name, fmt.Sprintf("%d %%", fail), r))
			}
		}
		p.names = append(p.names, kind.name)
		most.lines, lost.lines = append(most.lines, a), append(lost.lines, l)
		fmt.Fprintf(progress, "%s\n", kind.name)
	}
	p.charts = []chart{most, lost}
	return p, nil
}

// hedging shows the slowest requests, and what they cost, by the time after which a second backend is
// asked.
func hedging(o *options, progress io.Writer) (page, error) {
	shown := *o
	shown.sweep.name = "load"
	p := page{
		title: "Hedging, by its delay", summary: shown.summary(), head: columnsBeside("after"),
		foot: "After is when a second backend is asked, which takes what it takes, not what the first would have; p95 is when 95 % of the first's recent answers would have begun; tries are attempts for each request.",
	}
	slow := chart{title: "99.9th percentile of latency", x: "a second backend is asked after", y: "p99.9", xs: logarithmic(0.005, 0.64)}
	cost := chart{title: "Attempts for each request", x: "a second backend is asked after", y: "attempts", xs: slow.xs,
		ys: axis{low: 1, high: 1.25, ticks: []tick{{1, "1"}, {1.05, "1.05"}, {1.1, "1.1"}, {1.15, "1.15"}, {1.2, "1.2"}}}}
	low, high := time.Hour.Seconds(), 0.0
	for _, load := range []float64{0.3, 0.7, 0.9} {
		with := *o
		with.load = load
		if err := with.plan(); err != nil {
			return p, err
		}
		name := fmt.Sprintf("load %g", load)
		s, a := line{name: name}, line{name: name}
		for _, h := range hedges() {
			c := with.config(o.policies[0])
			c.Hedge = h
			r, err := sim.Run(c)
			if err != nil {
				return p, err
			}
			p.rows = append(p.rows, rowBeside(name, when(h), r))
			if h.After > 0 {
				y := r.Latency.Quantile(0.999).Seconds()
				low, high = min(low, y), max(high, y)
				s.at = append(s.at, point{h.After.Seconds(), y})
				a.at = append(a.at, point{h.After.Seconds(), attempts(r)})
			}
		}
		p.names = append(p.names, name)
		slow.lines, cost.lines = append(slow.lines, s), append(cost.lines, a)
		fmt.Fprintf(progress, "%s\n", name)
	}
	slow.ys = logarithmic(low, high)
	p.charts = []chart{slow, cost}
	return p, nil
}

// hedges are those that are compared: none, by quantiles, and by the clock.
func hedges() []lb.Hedge {
	all := []lb.Hedge{{}, {Quantile: 0.9}, {Quantile: 0.95}, {Quantile: 0.99}}
	for _, ms := range []time.Duration{5, 10, 15, 20, 30, 40, 50, 60, 80, 120, 160, 240, 320, 480, 640} {
		all = append(all, lb.Hedge{After: ms * time.Millisecond})
	}
	return all
}

// when says in a word when a second backend is asked.
func when(h lb.Hedge) string {
	switch {
	case h.Quantile > 0:
		return fmt.Sprintf("p%g", 100*h.Quantile)
	case h.After > 0:
		return h.After.String()
	}
	return "never"
}
