package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-loadbalancer/lb/metrics"
)

// view is a Report in the words of the page. The script says the same things in the same way.
type view struct {
	Config  Config
	Title   string
	Policy  string
	Health  string // one word for the colour: good, warn or bad
	Verdict string // one sentence for people
	Fit     int
	Rows    []row
	Empty   row // the script's pattern
	Report  metrics.Report
	Uptime  string
	Events  []event
}

// row is one backend.
type row struct {
	metrics.BackendReport
	Tags    string // its labels
	Percent string // of all shares
	Wide    string // Percent without its sign, for the bar
	Checked string // how long the last health check took
	Median  string
	Slowest string
	Failing string // error rate
}

type event struct{ Machine, Time, Text string }

func newView(rep metrics.Report, cfg Config) view {
	v := view{
		Config: cfg,
		Title:  cmp.Or(rep.Title, "Load balancer"),
		Policy: rep.Policy,
		Report: rep,
		Uptime: duration(time.Duration(rep.Uptime * float64(time.Second))),
		Empty:  row{BackendReport: metrics.BackendReport{State: "fit", Breaker: "closed"}, Wide: "0"},
	}
	all := 0.0
	for _, b := range rep.Backends {
		all += b.Share
		if b.Healthy {
			v.Fit++
		}
	}
	for _, b := range rep.Backends {
		v.Rows = append(v.Rows, newRow(b, all))
	}
	for _, e := range rep.Events {
		t := e.Time.UTC()
		v.Events = append(v.Events, event{t.Format(time.RFC3339), t.Format(time.TimeOnly), e.Text})
	}
	v.Health, v.Verdict = verdict(v.Fit, rep)
	return v
}

func newRow(b metrics.BackendReport, all float64) row {
	share := 0.0
	if all > 0 {
		share = 100 * b.Share / all
	}
	checked := ""
	if b.Probe > 0 {
		checked = "probe " + milliseconds(b.Probe)
	}
	return row{
		BackendReport: b,
		Checked:       checked,
		Tags:          tags(b.Labels),
		Percent:       strconv.FormatFloat(share, 'f', 0, 64) + " %",
		Wide:          strconv.FormatFloat(share, 'f', 1, 64),
		Median:        milliseconds(b.P50),
		Slowest:       milliseconds(b.P99),
		Failing:       strconv.FormatFloat(100*b.ErrorRate, 'f', 1, 64) + " %",
	}
}

// verdict says how things stand in a word and in a sentence.
func verdict(fit int, rep metrics.Report) (health, sentence string) {
	n := len(rep.Backends)
	switch {
	case n == 0:
		return "bad", "No backends"
	case rep.Available == 0:
		return "bad", "No backend is available: requests get 503"
	case rep.FailOpen:
		return "bad", fmt.Sprintf("Failing open: %d of %d backends are fit", fit, n)
	case fit == n && rep.Available < n:
		return "warn", fmt.Sprintf("%d of %d backends are available", rep.Available, n)
	case fit < n:
		health = "warn"
	default:
		health = "good"
	}
	return health, fmt.Sprintf("%d of %d backends are fit", fit, n)
}

func tags(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, " ")
}

// milliseconds returns a latency with three digits that matter, or a dash for none.
func milliseconds(ms float64) string {
	switch {
	case ms == 0:
		return "–"
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	case ms < 100:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 10_000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
}

// duration returns the two units of d that matter most.
func duration(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%d h %d min", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d s", s)
}
