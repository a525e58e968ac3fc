package main

import (
	"math"
	"slices"
)

// nines is the axis of quantiles: equal steps for each nine.
func nines() axis {
	a := axis{low: 0, high: 4}
	for _, t := range []struct {
		q    float64
		text string
	}{{0, "0 %"}, {0.5, "50 %"}, {0.9, "90 %"}, {0.99, "99 %"}, {0.999, "99.9 %"}, {0.9999, "99.99 %"}} {
		a.ticks = append(a.ticks, tick{-math.Log10(1 - t.q), t.text})
	}
	return a
}

// quantile returns the share that a place on that axis stands for.
func quantile(x float64) float64 { return 1 - math.Pow(10, -x) }

func latencies(results []result) chart {
	c := chart{title: "Latency by share of requests", x: "share of requests that are at least as fast", y: "latency", xs: nines()}
	low, high := math.Inf(1), 0.0
	for _, r := range results {
		l := line{name: r.name}
		for x := 0.04; x <= 4; x += 0.04 {
			y := r.Latency.Quantile(quantile(x)).Seconds()
			low, high = min(low, y), max(high, y)
			l.at = append(l.at, point{x, y})
		}
		c.lines = append(c.lines, l)
	}
	c.ys = logarithmic(max(low, high/1e5), high)
	return c
}

func queues(results []result) chart {
	c := chart{title: "Requests at a backend by share of time", x: "share of time and backends with at most as many", y: "requests in flight", xs: nines()}
	high := 1.0
	for _, r := range results {
		l := line{name: r.name, step: true}
		for x := 0.04; x <= 4; x += 0.04 {
			y := float64(r.InFlight.Quantile(quantile(x)))
			high = max(high, y)
			l.at = append(l.at, point{x, y})
		}
		c.lines = append(c.lines, l)
	}
	c.ys = linear(high, "")
	return c
}

// shares shows the share of each backend, the smallest first.
func shares(results []result) chart {
	c := chart{title: "Share of each backend", x: "backends, in the order of their shares (%)", y: "attempts, 1 = an equal share", xs: linear(100, "")}
	high := 1.2
	for _, r := range results {
		l := line{name: r.name}
		var all []float64
		for _, b := range r.Backends {
			all = append(all, b.Share*float64(len(r.Backends)))
		}
		slices.Sort(all)
		for i, y := range all {
			high = max(high, y)
			l.at = append(l.at, point{100 * (float64(i) + 0.5) / float64(len(all)), y})
		}
		l.dots = len(all) <= 50
		c.lines = append(c.lines, l)
	}
	c.ys = linear(high, "")
	return c
}

// series shows the run as it went, in windows.
func series(results []result) chart {
	c := chart{title: "99th percentile over time", x: "virtual time", y: "p99 of what ended"}
	low, high, end := math.Inf(1), 0.0, 0.0
	for _, r := range results {
		l := line{name: r.name}
		for _, w := range r.Series {
			y := w.P99.Seconds()
			if w.Ended == 0 {
				y = math.NaN()
			} else {
				low, high = min(low, y), max(high, y)
			}
			end = max(end, w.To.Seconds())
			l.at = append(l.at, point{((w.From + w.To) / 2).Seconds(), y})
		}
		c.lines = append(c.lines, l)
	}
	c.xs, c.ys = linear(end, " s"), logarithmic(max(low, high/1e5), high)
	return c
}
