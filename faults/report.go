package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is everything that was measured.
type report struct {
	began   time.Time
	short   bool
	foreign []foreign
	with    []string
	commit  string // of the library; "" if that is not known
	results []result
}

// commitOf is where a folder's repository stands, or "".
func commitOf(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "" // no git, or no repository
	}
	return strings.TrimSpace(string(out))
}

// measure runs the chosen rows, and tells of each when it is done.
func (rep *report) measure(ctx context.Context, h *harness, chosen []row) {
	for i, r := range chosen {
		h.say("%s: %s (%d of %d)", r.id, r.title, i+1, len(chosen))
		subjects := []*foreign{nil}
		for i := range rep.foreign {
			if r.compare {
				subjects = append(subjects, &rep.foreign[i])
			}
		}
		for _, by := range subjects {
			if ctx.Err() != nil {
				return
			}
			res := h.perform(ctx, r, by)
			h.say("  %s", res.line())
			rep.results = append(rep.results, res)
		}
	}
}

// failed is an error if a row could not be measured for any other reason than that the demo lacks
// its flag. That one was not met is no error: the report says so.
func (rep *report) failed() error {
	for _, res := range rep.results {
		if res.outcome == nil && len(res.row.needs) == 0 {
			return fmt.Errorf("%s was not measured with %s: %s", res.row.id, res.proxy, res.why)
		}
	}
	return nil
}

// line is a result in one line.
func (res result) line() string {
	if res.outcome == nil {
		return fmt.Sprintf("%-13s not measured: %s", res.proxy, res.why)
	}
	o := res.outcome
	text := fmt.Sprintf("%-13s failed %d of %d GETs, %d of %d POSTs; twice %d, slowest %s: %s", res.proxy,
		o.badGets, o.gets, o.badPosts, o.posts, o.twice, o.slowest.Round(time.Millisecond), res.verdict())
	for _, l := range o.missed() {
		text += "; " + l.String()
	}
	return text
}

func (res result) verdict() string {
	switch {
	case res.outcome == nil:
		return "not measured"
	case len(res.outcome.missed()) > 0:
		return "**missed**"
	}
	return "met"
}

const preface = `# What faults do

Each row starts backend processes, loads them through a proxy and injects one fault. Unless a row says otherwise: three backends
that work for 5 ms, 100 requests a second, open loop, times counted from when a request was due, every fifth a POST with an ID
of its own. Backends write down which POSTs they have executed. A request has failed when its client got anything but the
backend's answer in full. Noticed after: how long after the fault the last request was due, before its end, that failed or took
longer than 300 ms, or when a half-dead backend was taken out. Back after: how long after its end the backend answered again, or
the last request was due that failed. The demo (examples/standalone) runs with its defaults but for the flags named below.
`

// text is the report in Markdown.
func (rep *report) text(ctx context.Context) string {
	var t strings.Builder
	t.WriteString("<!-- Written by faults: cd faults && go run . -->\n\n" + preface + "\n")
	fmt.Fprintf(&t, "- %s, %s, %s", rep.began.Format("2006-01-02 15:04 UTC"), machine(), runtime.Version())
	if rep.short {
		t.WriteString(", short runs")
	}
	fmt.Fprintf(&t, "\n- the demo's flags: `%s`\n", strings.Join(slices.Concat(demoFlags, rep.with), " "))
	seen := map[string]bool{}
	for _, f := range rep.foreign {
		if !seen[f.program] {
			fmt.Fprintf(&t, "- %s\n", f.version(ctx))
		}
		seen[f.program] = true
	}
	if rep.commit != "" {
		fmt.Fprintf(&t, "- the library at %s\n", rep.commit)
	}
	rep.summary(&t)
	rep.details(&t)
	rep.comparison(&t)
	return t.String()
}

const head = `| | | GETs failed | POSTs failed | twice | failed, yet executed | > 300 ms | > 1 s | slowest | noticed after | back after | |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|
`

func (rep *report) summary(t *strings.Builder) {
	t.WriteString("\n## The library\n\n" + head)
	verdicts := map[string]int{}
	for _, res := range rep.results {
		if res.proxy == "lb" {
			fmt.Fprintf(t, "| %s | %s | %s | %s |\n", res.row.id, res.row.title, res.figures(), res.verdict())
			verdicts[res.verdict()]++
		}
	}
	fmt.Fprintf(t, "\n%d rows are met, %d are missed, %d were not measured.\n", verdicts["met"], verdicts["**missed**"], verdicts["not measured"])
}

// figures are the numbers between the title and the verdict.
func (res result) figures() string {
	o := res.outcome
	if o == nil || o.gets+o.posts == 0 {
		return strings.Repeat("– | ", 8) + "–"
	}
	return fmt.Sprintf("%d of %d | %d of %d | %d | %d | %d | %d | %s | %s | %s", o.badGets, o.gets, o.badPosts, o.posts,
		o.twice, o.executed, o.slow, o.verySlow, o.slowest.Round(time.Millisecond), span(o.detected), span(o.recovered))
}

func span(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d >= time.Hour:
		return "never"
	}
	return d.Round(time.Millisecond).String()
}

// details says for each row what was done, and how each number compares with what has to hold.
func (rep *report) details(t *strings.Builder) {
	t.WriteString("\n## What has to hold, and what was measured\n")
	for _, res := range rep.results {
		if res.proxy != "lb" {
			continue
		}
		r := res.row
		fmt.Fprintf(t, "\n**%s, %s.** %s. Wanted: %s.\n", r.id, r.title, upper(r.inject), r.accept)
		if len(r.flags)+len(r.needs) > 0 {
			fmt.Fprintf(t, "Flags: `%s`.\n", strings.Join(append(r.flags[:len(r.flags):len(r.flags)], r.needs...), " "))
		}
		t.WriteByte('\n')
		if res.outcome == nil {
			fmt.Fprintf(t, "- not measured: %s\n", res.why)
			continue
		}
		for _, l := range res.outcome.laws {
			mark := ""
			if !l.met() {
				mark = " **missed**"
			}
			fmt.Fprintf(t, "- %s%s\n", l, mark)
		}
		for _, n := range res.outcome.notes {
			fmt.Fprintf(t, "- %s\n", n)
		}
		if r.why != "" && len(res.outcome.missed()) > 0 {
			fmt.Fprintf(t, "\nWhy: %s.\n", r.why)
		}
	}
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// comparison is a table for each row in which others took part.
func (rep *report) comparison(t *strings.Builder) {
	if len(rep.foreign) == 0 {
		return
	}
	t.WriteString("\n## Beside others\n\nTheir configurations are in faults/foreign.go.\n")
	last := ""
	for _, res := range rep.results {
		if !res.row.compare {
			continue
		}
		if res.row.id != last {
			fmt.Fprintf(t, "\n%s, %s:\n\n%s", res.row.id, res.row.title, head)
		}
		last = res.row.id
		why := res.why
		if res.outcome != nil {
			why = res.outcome.causes()
		}
		fmt.Fprintf(t, "| | %s | %s | %s |\n", res.proxy, res.figures(), why)
	}
}

// machine is the system, its processor and how busy it was.
func machine() string {
	text := fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if out, err := exec.Command("uname", "-r").Output(); err == nil {
		text += ", kernel " + strings.TrimSpace(string(out))
	}
	info, _ := os.ReadFile("/proc/cpuinfo") // there is none elsewhere
	if _, rest, ok := strings.Cut(string(info), "model name\t: "); ok {
		model, _, _ := strings.Cut(rest, "\n")
		text += ", " + model
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		text += ", load average at the end " + strings.Join(strings.Fields(string(load))[:3], " ")
	}
	return text
}
