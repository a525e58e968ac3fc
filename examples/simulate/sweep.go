package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sweep is a number of the world that takes several values, one run for each.
type sweep struct {
	name   string
	values []float64
}

// parseSweep reads NAME=VALUE,VALUE and so on.
func parseSweep(s string) (w sweep, err error) {
	name, list, _ := strings.Cut(s, "=")
	w.name = name
	if !slices.Contains([]string{"load", "clients", "backends", "uneven"}, name) {
		return w, fmt.Errorf("%q is none of load, clients, backends and uneven", name)
	}
	for text := range strings.SplitSeq(list, ",") {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return w, fmt.Errorf("%q is not a number", text)
		}
		if (name == "clients" || name == "backends") && v != float64(int(v)) {
			return w, fmt.Errorf("%s of %s is not a whole number", name, text)
		}
		w.values = append(w.values, v)
	}
	if len(w.values) < 2 || len(w.values) > 50 {
		return w, fmt.Errorf("%q has %d values; give 2 to 50", s, len(w.values))
	}
	return w, nil
}

// at returns the options with one of the values, or what is wrong with that.
func (o *options) at(v float64) (*options, error) {
	next := *o
	switch o.sweep.name {
	case "load":
		next.load = v
	case "clients":
		next.clients = int(v)
	case "backends":
		next.backends = int(v)
	case "uneven":
		next.uneven = v
	}
	return &next, next.plan()
}

// sweeping runs all policies with each of the values.
func sweeping(o *options, progress io.Writer) (page, error) {
	var steps [][]result
	for _, v := range o.sweep.values {
		with, err := o.at(v)
		if err != nil {
			return page{}, err
		}
		results, err := simulate(with, progress)
		if err != nil {
			return page{}, err
		}
		steps = append(steps, results)
	}
	return o.swept(steps), nil
}

// swept shows what became of each policy at each value.
func (o *options) swept(steps [][]result) page {
	p := page{
		title: "Policies compared, by " + o.sweep.name, summary: o.summary(), names: o.policies,
		head: append([]string{o.sweep.name}, columns()...), foot: explanation,
	}
	for i, results := range steps {
		for _, r := range results {
			p.rows = append(p.rows, append([]string{number(o.sweep.values[i])}, row(r)...))
		}
	}
	of := func(q float64) func(result) float64 {
		return func(r result) float64 { return r.Latency.Quantile(q).Seconds() }
	}
	p.charts = []chart{
		o.curve(steps, "Median latency", "p50", true, of(0.5)),
		o.curve(steps, "99th percentile of latency", "p99", true, of(0.99)),
		o.curve(steps, "99th percentile of requests at a backend", "requests in flight", false, func(r result) float64 { return float64(r.InFlight.Quantile(0.99)) }),
		o.curve(steps, "Largest share of a backend", "attempts, 1 = an equal share", false, func(r result) float64 { _, high := spread(r); return high }),
	}
	return p
}

// curve is a chart of one figure by the value.
func (o *options) curve(steps [][]result, title, y string, times bool, of func(result) float64) chart {
	c := chart{title: title, x: o.sweep.name, y: y, xs: axis{low: -0.2, high: float64(len(steps)) - 0.8}}
	low, high := time.Hour.Seconds(), 0.0
	for i := range o.policies {
		l := line{name: o.policies[i]}
		for k, results := range steps {
			v := of(results[i])
			low, high = min(low, v), max(high, v)
			l.at = append(l.at, point{float64(k), v})
		}
		c.lines = append(c.lines, l)
	}
	for k, v := range o.sweep.values {
		c.xs.ticks = append(c.xs.ticks, tick{float64(k), number(v)})
	}
	if c.ys = linear(high*1.05, ""); times {
		c.ys = logarithmic(max(low, high/1e5), high)
	}
	return c
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
