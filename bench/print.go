package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// column is one column of the table.
type column struct {
	title string
	cell  func(p ProxyReport) string // empty: not measured
}

func columns() []column {
	return []column{
		{"CPU µs/req", value(cpu, "%.1f")},
		{"of standard", ratio(cpu)},
		{"req/s", value(rate, "%.0f")},
		{"busy %", percent(busy)},
		{"others %", percent(others)},
		{"p50 ms", value(p50, "%.2f")},
		{"p99 ms", value(p99, "%.2f")},
		{"p99.9 ms", value(p999, "%.2f")},
		{"p99 of standard", ratio(p99)},
		{"KiB/conn", value(idle, "%.1f")},
		{"of standard", ratio(idle)},
		{"peak MiB", greatest(peak)},
		{"allocs/req", value(allocs, "%.1f")},
		{"reused %", decimal(reused)},
		{"errors", func(p ProxyReport) string { return fmt.Sprint(p.Errors) }},
	}
}

func value(metric, format string) func(ProxyReport) string {
	return func(p ProxyReport) string {
		m, ok := p.Metrics[metric]
		if !ok {
			return ""
		}
		return fmt.Sprintf(format, m.Median)
	}
}

func greatest(metric string) func(ProxyReport) string {
	return func(p ProxyReport) string {
		m, ok := p.Metrics[metric]
		if !ok {
			return ""
		}
		return fmt.Sprintf("%.0f", slices.Max(m.Values))
	}
}

func percent(metric string) func(ProxyReport) string {
	return func(p ProxyReport) string {
		m, ok := p.Metrics[metric]
		if !ok {
			return ""
		}
		return fmt.Sprintf("%.0f", 100*m.Median)
	}
}

func decimal(metric string) func(ProxyReport) string {
	return func(p ProxyReport) string {
		m, ok := p.Metrics[metric]
		if !ok {
			return ""
		}
		return fmt.Sprintf("%.1f", 100*m.Median)
	}
}

func ratio(metric string) func(ProxyReport) string {
	return func(p ProxyReport) string {
		m, ok := p.Metrics[metric]
		switch {
		case !ok:
			return ""
		case p.Name == kindStandard:
			return "1"
		}
		return fmt.Sprintf("%.2f (%.2f–%.2f)", m.Ratio.Median, m.Ratio.Low, m.Ratio.High)
	}
}

// printHead says where and how a run is made.
func (r *Report) printHead(to io.Writer) {
	fmt.Fprintf(to, "%s, %s, %s\n", r.Machine, r.Go, r.Time)
	if r.ProxyCPUs != nil {
		fmt.Fprintf(to, "proxies on processor %v, load and backends on %v, ", r.ProxyCPUs, r.LoadCPUs)
	} else {
		fmt.Fprint(to, "nothing is pinned: proxies, load and backends compete; ")
	}
	fmt.Fprintf(to, "%d rounds of %s slices, seed %d\n", r.Rounds, r.Slice, r.Seed)
	for _, version := range r.Foreign {
		fmt.Fprintln(to, version)
	}
	fmt.Fprintln(to, "medians; in parentheses the middle half of the ratios of the same round")
}

// disturbance is the share of the processors above which what others take of them is told:
// rates and latencies suffer from it much, processor time per request little.
const disturbance = 0.1

// print writes a scenario's table.
func (s *ScenarioReport) print(to io.Writer) {
	fmt.Fprintf(to, "\n%s: %s, %d clients", s.Name, s.Text, s.Clients)
	if s.Rate > 0 {
		fmt.Fprintf(to, "; latency at %.0f req/s", s.Rate)
	}
	fmt.Fprintln(to)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	rows := make([][]string, len(s.Proxies)+1)
	rows[0] = []string{""}
	for i, p := range s.Proxies {
		rows[i+1] = []string{p.Name}
	}
	for _, c := range columns() {
		cells := []string{c.title}
		for _, p := range s.Proxies {
			cells = append(cells, c.cell(p))
		}
		if strings.Join(cells[1:], "") == "" {
			continue // nobody has it
		}
		for i, cell := range cells {
			rows[i] = append(rows[i], cell)
		}
	}
	for _, row := range rows {
		fmt.Fprintln(table, strings.Join(row, "\t")+"\t")
	}
	table.Flush()
	if share := s.disturbed(); share > disturbance {
		fmt.Fprintf(to, "! others took up to %.0f%% of a processor: rates and latencies say little\n", 100*share)
	}
	for _, p := range s.Proxies {
		if p.Errors > 0 {
			fmt.Fprintf(to, "! %s: %d of %d requests failed; the first: %s\n", p.Name, p.Errors, p.Errors+p.Requests, p.FirstError)
		}
	}
}

// disturbed returns the greatest median share that others took while a proxy was measured.
func (s *ScenarioReport) disturbed() (share float64) {
	for _, p := range s.Proxies {
		share = max(share, p.Metrics[others].Median)
	}
	return share
}

// about rounds a duration for people.
func about(d time.Duration) string { return d.Round(time.Second).String() }
