package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is one set of axes with lines or dots.
type chart struct {
	title, x, y string
	xs, ys      axis
	lines       []line
}

// axis is where values go. Ticks are positions with what to write there.
type axis struct {
	low, high float64
	log       bool
	ticks     []tick
}

type tick struct {
	at   float64
	text string
}

// line is one policy's points. Those that are not numbers are gaps.
type line struct {
	name string
	dots bool
	step bool
	at   []point
}

type point struct{ x, y float64 }

// place returns where a value is between the ends of the axis, 0 to 1.
func (a axis) place(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(max(v, a.low)), math.Log(low), math.Log(high)
	}
	if high <= low {
		return 0
	}
	return min(max((v-low)/(high-low), 0), 1)
}

// linear returns an axis from zero with round ticks.
func linear(high float64, unit string) axis {
	high = max(high, 1e-9)
	step := math.Pow(10, math.Floor(math.Log10(high)))
	for _, f := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if high/(step*f) <= 6 {
			step *= f
			break
		}
	}
	a := axis{high: high}
	for i := 0; float64(i)*step <= a.high*(1+1e-9); i++ {
		a.ticks = append(a.ticks, tick{float64(i) * step, fmt.Sprintf("%g%s", round(float64(i)*step), unit)})
	}
	return a
}

// logarithmic returns an axis of seconds with ticks at 1, 2 and 5 of each power of ten, or at the
// powers alone where that would be too many.
func logarithmic(low, high float64) axis {
	high = max(high, 2e-6)
	low = max(min(low, high/2), 1e-6) // also if there is nothing to show
	a := axis{low: low / 1.1, high: high * 1.1, log: true}
	steps := []float64{1, 2, 5}
	if high/low > 2000 {
		steps = steps[:1]
	}
	for p := math.Floor(math.Log10(a.low)); p <= math.Log10(a.high); p++ {
		for _, s := range steps {
			if v := s * math.Pow(10, p); v >= a.low && v <= a.high {
				a.ticks = append(a.ticks, tick{v, seconds(v)})
			}
		}
	}
	return a
}

func round(v float64) float64 { return math.Round(v*1e6) / 1e6 }

func seconds(v float64) string {
	switch {
	case v >= 1:
		return fmt.Sprintf("%g s", round(v))
	case v >= 1e-3:
		return fmt.Sprintf("%g ms", round(v*1e3))
	}
	return fmt.Sprintf("%g µs", round(v*1e6))
}

// Where a chart's axes are within its panel.
const (
	panelWidth, panelHeight = 580.0, 340.0
	left, right, top, foot  = 64.0, 30.0, 34.0, 46.0
)

// draw writes the chart as a group at a place. Colours are classes c0, c1 and so on.
func (c chart) draw(b *strings.Builder, x0, y0 float64, class map[string]int) {
	w, h := panelWidth-left-right, panelHeight-top-foot
	px := func(v float64) float64 { return left + c.xs.place(v)*w }
	py := func(v float64) float64 { return top + (1-c.ys.place(v))*h }
	fmt.Fprintf(b, "<g transform=\"translate(%g,%g)\">\n", x0, y0)
	text(b, left, 18, "title", "start", c.title)
	for _, t := range c.ys.ticks {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>\n", left, py(t.at), left+w)
		text(b, left-6, py(t.at)+4, "tick", "end", t.text)
	}
	for _, t := range c.xs.ticks {
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>\n", px(t.at), top, top+h)
		text(b, px(t.at), top+h+16, "tick", "middle", t.text)
	}
	fmt.Fprintf(b, "<path class=\"axis\" d=\"M%.1f %.1fV%.1fH%.1f\"/>\n", left, top, top+h, left+w)
	text(b, left+w/2, panelHeight-8, "label", "middle", c.x)
	fmt.Fprintf(b, "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(14,%.1f) rotate(-90)\">%s</text>\n", top+h/2, html.EscapeString(c.y))
	for _, l := range c.lines {
		l.draw(b, class[l.name], px, py)
	}
	b.WriteString("</g>\n")
}

func (l line) draw(b *strings.Builder, class int, px, py func(float64) float64) {
	if l.dots {
		fmt.Fprintf(b, "<g class=\"dot f%d\"><title>%s</title>", class, html.EscapeString(l.name))
		for _, p := range l.at {
			fmt.Fprintf(b, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>", px(p.x), py(p.y))
		}
		b.WriteString("</g>\n")
		return
	}
	var d strings.Builder
	pen, last := "M", 0.0
	for i, p := range l.at {
		if math.IsNaN(p.y) {
			pen = "M"
			continue
		}
		x, y := px(p.x), py(p.y)
		if l.step && pen == "L" && y == last && i < len(l.at)-1 {
			continue
		}
		if l.step && pen == "L" {
			fmt.Fprintf(&d, "L%.1f %.1f", x, last)
		}
		fmt.Fprintf(&d, "%s%.1f %.1f", pen, x, y)
		pen, last = "L", y
	}
	fmt.Fprintf(b, "<path class=\"line c%d\" d=\"%s\"><title>%s</title></path>\n", class, d.String(), html.EscapeString(l.name))
}

func text(b *strings.Builder, x, y float64, class, anchor, s string) {
	fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, html.EscapeString(s))
}
