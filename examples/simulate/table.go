package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are the heads of the table.
func columns() []string {
	return []string{"policy", "p50", "p90", "p99", "p99.9", "errors", "queue p50", "p99", "share min", "max", "tries"}
}

// row is what the table says of one policy.
func row(r result) []string {
	low, high := spread(r)
	return []string{
		r.name, short(r.Latency.Quantile(0.5)), short(r.Latency.Quantile(0.9)), short(r.Latency.Quantile(0.99)), short(r.Latency.Quantile(0.999)),
		fmt.Sprintf("%.2f %%", 100*float64(r.Errors)/float64(max(1, r.Requests))),
		fmt.Sprint(r.InFlight.Quantile(0.5)), fmt.Sprint(r.InFlight.Quantile(0.99)),
		fmt.Sprintf("%.2f", low), fmt.Sprintf("%.2f", high),
		fmt.Sprintf("%.3f", float64(r.Attempts)/float64(max(1, r.Requests))),
	}
}

// spread returns the smallest and the largest share of a backend, 1 being an equal one.
func spread(r result) (low, high float64) {
	for i, b := range r.Backends {
		x := b.Share * float64(len(r.Backends))
		if i == 0 {
			low, high = x, x
		}
		low, high = min(low, x), max(high, x)
	}
	return low, high
}

const explanation = "Queue is requests at a backend, over time; a share of 1 is an equal one; tries are attempts for each request."

// table is what the program prints.
func (p page) table() string {
	var b strings.Builder
	fmt.Fprintln(&b, p.summary)
	fmt.Fprintln(&b)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, strings.Join(p.head, "\t")+"\t")
	for _, r := range p.rows {
		fmt.Fprintln(w, strings.Join(r, "\t")+"\t")
	}
	w.Flush()
	fmt.Fprintln(&b, "\n"+p.foot)
	return b.String()
}

// summary says in a line what was simulated.
func (o *options) summary() string {
	discipline := pick(o.fifo, "first come, first served", "sharing their cores")
	clients, backends, load := fmt.Sprint(o.clients), fmt.Sprint(o.backends), fmt.Sprintf("%g: %.0f requests/s", o.load, o.rate)
	switch o.sweep.name {
	case "clients":
		clients = "various"
	case "backends":
		backends, load = "various", number(o.load)
	case "load":
		load = "various"
	case "uneven":
		load = number(o.load)
	}
	return fmt.Sprintf("%s clients, %s backends of %g cores %s, load %s (%s), work %s, %v after %v of warm-up, seed %d.",
		clients, backends, o.cores, discipline, load, o.arrivals, o.work, o.duration, o.warmup, o.seed)
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.0f us", d.Seconds()*1e6)
}
