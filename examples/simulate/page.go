package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// colours are told apart by most who see colours in another way (Okabe and Ito, 2008); dashes help
// those who see none.
func colours() (light, dark, dashes []string) {
	light = []string{"#0072b2", "#d55e00", "#009e73", "#a8589a", "#b58900", "#3a3a3a", "#4b9cd3", "#8c510a", "#5e3c99"}
	dark = []string{"#56b4e9", "#ff8c42", "#2fd3a5", "#e39bd0", "#f0e442", "#e8e8e8", "#9ad1ff", "#d9a066", "#b9a3ff"}
	dashes = []string{"none", "7 3", "2 3", "10 3 2 3", "none", "4 2", "2 2", "12 4", "6 2 2 2"}
	return light, dark, dashes
}

// style is the charts' look, in light and in dark.
func style() string {
	var b strings.Builder
	b.WriteString("text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:14px}.head{font-weight:600;font-size:18px}.tick{font-size:11px;fill:#555}" +
		".paper{fill:#fff}.grid{stroke:#e3e3e3;fill:none}.axis{stroke:#555;fill:none}.line{fill:none;stroke-width:2;stroke-linejoin:round}.dot{stroke:none;fill-opacity:.8}\n")
	light, dark, dashes := colours()
	for i := range light {
		fmt.Fprintf(&b, ".c%d{stroke:%s;stroke-dasharray:%s}.f%d{fill:%s}\n", i, light[i], dashes[i], i, light[i])
	}
	b.WriteString("@media (prefers-color-scheme:dark){text{fill:#eee}.tick{fill:#aaa}.paper{fill:#16181d}.grid{stroke:#2c3038}.axis{stroke:#999}\n")
	for i := range dark {
		fmt.Fprintf(&b, ".c%d{stroke:%s}.f%d{fill:%s}\n", i, dark[i], i, dark[i])
	}
	b.WriteString("}\n")
	return b.String()
}

// document is the file that -o names.
func document(o *options, results []result) string {
	if strings.HasSuffix(o.file, ".svg") {
		return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + svg(o, results)
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Policies compared</title>\n<style>" +
		":root{color-scheme:light dark}body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}" +
		"th,td{padding:.25rem .75rem;text-align:right;border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}code{overflow-wrap:anywhere}div{overflow-x:auto}</style></head><body>\n")
	fmt.Fprintf(&b, "<h1>Policies compared</h1>\n<p>%s</p>\n<p><code>%s</code></p>\n<div><table><thead><tr>", html.EscapeString(o.summary()), html.EscapeString(o.line))
	for _, c := range columns() {
		fmt.Fprintf(&b, "<th scope=\"col\">%s</th>", html.EscapeString(c))
	}
	b.WriteString("</tr></thead><tbody>\n")
	for _, r := range results {
		b.WriteString("<tr>")
		for _, cell := range row(r) {
			fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(cell))
		}
		b.WriteString("</tr>\n")
	}
	fmt.Fprintf(&b, "</tbody></table></div>\n%s</body></html>\n", svg(o, results))
	return b.String()
}

// svg is the four charts with one legend.
func svg(o *options, results []result) string {
	light, _, _ := colours()
	class := make(map[string]int)
	for i, r := range results {
		class[r.name] = i % len(light)
	}
	const perRow = 6
	legend := 30.0 + 20*float64((len(results)+perRow-1)/perRow)
	width, height := 2*panelWidth, legend+24+2*panelHeight
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">Policies compared</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n<rect class=\"paper\" width=\"%g\" height=\"%g\"/>\n",
		width, height, html.EscapeString(table(o, results)), style(), width, height)
	text(&b, left, 26, "head", "start", "Policies compared")
	for i, r := range results {
		x, y := left+float64(i%perRow)*180, 50+20*float64(i/perRow)
		fmt.Fprintf(&b, "<path class=\"line c%d\" d=\"M%.1f %.1fh28\"/>\n", class[r.name], x, y-4)
		text(&b, x+34, y, "label", "start", r.name)
	}
	for i, c := range []chart{latencies(results), queues(results), shares(results), series(results)} {
		c.draw(&b, float64(i%2)*panelWidth, legend+14+float64(i/2)*panelHeight, class)
	}
	text(&b, left, height-2, "tick", "start", o.summary())
	b.WriteString("</svg>\n")
	return b.String()
}

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
		for x := 0.02; x <= 4; x += 0.02 {
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
		for x := 0.02; x <= 4; x += 0.02 {
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
