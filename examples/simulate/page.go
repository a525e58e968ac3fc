package main

import (
	"fmt"
	"html"
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

// page is what a command shows: a table, and charts with a line for each name.
type page struct {
	title, summary, foot string
	names                []string // of policies
	head                 []string
	rows                 [][]string
	charts               []chart
}

// compared shows one run of each policy.
func (o *options) compared(results []result) page {
	p := page{title: "Policies compared", summary: o.summary(), head: columns(), foot: explanation}
	for _, r := range results {
		p.names, p.rows = append(p.names, r.name), append(p.rows, row(r))
	}
	p.charts = []chart{latencies(results), queues(results), shares(results), series(results)}
	return p
}

// document is the file that -o names.
func (p page) document(o *options) string {
	if strings.HasSuffix(o.file, ".svg") {
		return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + p.svg()
	}
	var b strings.Builder
	b.WriteString("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Policies compared</title>\n<style>" +
		":root{color-scheme:light dark}body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:1200px;padding:0 1rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}" +
		"th,td{padding:.25rem .75rem;text-align:right;border-bottom:1px solid #8884}th:first-child,td:first-child{text-align:left}svg{width:100%;height:auto}code{overflow-wrap:anywhere}div{overflow-x:auto}</style></head><body>\n")
	fmt.Fprintf(&b, "<h1>%s</h1>\n<p>%s</p>\n<p><code>%s</code></p>\n<div><table><thead><tr>", html.EscapeString(p.title), html.EscapeString(p.summary), html.EscapeString(o.line))
	for _, c := range p.head {
		fmt.Fprintf(&b, "<th scope=\"col\">%s</th>", html.EscapeString(c))
	}
	b.WriteString("</tr></thead><tbody>\n")
	for _, r := range p.rows {
		b.WriteString("<tr>")
		for _, cell := range r {
			fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(cell))
		}
		b.WriteString("</tr>\n")
	}
	fmt.Fprintf(&b, "</tbody></table></div>\n%s</body></html>\n", p.svg())
	return b.String()
}

// svg is the charts, two in a row, with one legend.
func (p page) svg() string {
	light, _, _ := colours()
	class := make(map[string]int)
	for i, name := range p.names {
		class[name] = i % len(light)
	}
	const perRow = 6
	legend := 30.0 + 20*float64((len(p.names)+perRow-1)/perRow)
	width, height := 2*panelWidth, legend+24+float64((len(p.charts)+1)/2)*panelHeight
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" role=\"img\" aria-labelledby=\"t d\">\n<title id=\"t\">%s</title>\n<desc id=\"d\">%s</desc>\n<style>%s</style>\n<rect class=\"paper\" width=\"%g\" height=\"%g\"/>\n",
		width, height, html.EscapeString(p.title), html.EscapeString(p.table()), style(), width, height)
	text(&b, left, 26, "head", "start", p.title)
	for i, name := range p.names {
		x, y := left+float64(i%perRow)*180, 50+20*float64(i/perRow)
		fmt.Fprintf(&b, "<path class=\"line c%d\" d=\"M%.1f %.1fh28\"/>\n", class[name], x, y-4)
		text(&b, x+34, y, "label", "start", name)
	}
	for i, c := range p.charts {
		c.draw(&b, float64(i%2)*panelWidth, legend+14+float64(i/2)*panelHeight, class)
	}
	text(&b, left, height-2, "tick", "start", p.summary)
	b.WriteString("</svg>\n")
	return b.String()
}
