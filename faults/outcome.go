package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// outcome is what a row measured with one proxy.
type outcome struct {
	proxy               string
	gets, posts         int
	badGets, badPosts   int           // failed in their clients' eyes
	twice               int           // POSTs that were executed more than once
	executed            int           // POSTs that were executed although they failed
	lost                int           // POSTs that were answered and never executed: this program is wrong
	slow, verySlow      int           // took longer than 300 ms, and than 1 s
	slowest             time.Duration // of all
	detected, recovered time.Duration // negative: does not apply
	laws                []law
	notes               []string
	failures            map[string]int
}

// twice is the law that holds whatever happens.
const twice = "POSTs executed twice"

// law is one number that a row has to keep.
type law struct {
	what      string
	got, most float64
	unit      string // "" for a count, else s or %
	timed     bool   // depends on how busy the machine is
	least     bool   // most is the least
}

func (l law) met() bool { return l.got <= l.most && !l.least || l.got >= l.most && l.least }

func (l law) String() string {
	word := "≤"
	if l.least {
		word = "≥"
	}
	return fmt.Sprintf("%s %s (%s %s)", l.what, number(l.got, l.unit), word, number(l.most, l.unit))
}

func number(f float64, unit string) string {
	switch unit {
	case "s":
		if f >= 3600 {
			return "never"
		}
		return time.Duration(f * 1e9).Round(time.Millisecond).String()
	case "%":
		return fmt.Sprintf("%.2f %%", f)
	}
	return fmt.Sprintf("%g", f)
}

// count wants got to be at most most.
func (o *outcome) count(what string, got, most int) {
	o.laws = append(o.laws, law{what: what, got: float64(got), most: float64(most)})
}

// least wants got to be at least that.
func (o *outcome) least(what string, got, least int) {
	o.laws = append(o.laws, law{what: what, got: float64(got), most: float64(least), least: true})
}

// percent wants part to be at most that many percent of whole.
func (o *outcome) percent(what string, part, whole int, most float64) {
	o.laws = append(o.laws, law{what: what, got: 100 * float64(part) / float64(max(1, whole)), most: most, unit: "%"})
}

// within wants got to be at most most, as far as the machine is idle enough.
func (o *outcome) within(what string, got, most time.Duration) {
	o.laws = append(o.laws, law{what: what, got: got.Seconds(), most: most.Seconds(), unit: "s", timed: true})
}

// timedCount is count for what depends on how busy the machine is.
func (o *outcome) timedCount(what string, got, most int) {
	o.count(what, got, most)
	o.laws[len(o.laws)-1].timed = true
}

func (o *outcome) note(format string, args ...any) {
	if text := strings.Trim(fmt.Sprintf(format, args...), " ;:"); text != "" {
		o.notes = append(o.notes, text)
	}
}

// missed lists the laws that were not kept.
func (o *outcome) missed() (all []law) {
	for _, l := range o.laws {
		if !l.met() {
			all = append(all, l)
		}
	}
	return all
}

// tally counts what came of shots, with what the backends have on record.
func tally(shots []shot, record map[string]int) *outcome {
	o := &outcome{detected: -1, recovered: -1, failures: map[string]int{}}
	for _, s := range shots {
		switch {
		case s.post:
			o.posts++
		default:
			o.gets++
		}
		if s.err != nil {
			o.failures[reason(s.err)]++
			if s.post {
				o.badPosts++
			} else {
				o.badGets++
			}
		}
		if s.took > 300*time.Millisecond {
			o.slow++
		}
		if s.took > time.Second {
			o.verySlow++
		}
		o.slowest = max(o.slowest, s.took)
		o.compare(s, record[s.id])
	}
	return o
}

// compare holds a shot against how often it was executed.
func (o *outcome) compare(s shot, times int) {
	switch {
	case !s.post:
	case times > 1:
		o.twice++
	case times == 1 && s.err != nil:
		o.executed++
	case times == 0 && s.err == nil:
		o.lost++
	}
}

// reason is an error without addresses, so that equal ones can be counted.
func reason(err error) string {
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "\": "); ok { // of a *url.Error
		text = rest
	}
	for _, known := range []string{"connection reset", "connection refused", "broken pipe", "EOF", "Timeout", "deadline"} {
		if strings.Contains(text, known) {
			return known
		}
	}
	return text
}

// causes lists the failures, most frequent first.
func (o *outcome) causes() string {
	names := slices.SortedFunc(maps.Keys(o.failures), func(a, b string) int { return o.failures[b] - o.failures[a] })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", o.failures[name], name)
	}
	return strings.Join(names, ", ")
}

// bad lists the shots that failed or took longer than 300 ms.
func bad(shots []shot) (all []shot) {
	for _, s := range shots {
		if s.err != nil || s.took > 300*time.Millisecond {
			all = append(all, s)
		}
	}
	return all
}

// lastBad is when the last of these requests was due that was due from one moment to another and
// failed or was slow, counted from the first moment; zero if there was none.
func lastBad(shots []shot, from, to time.Duration) (last time.Duration) {
	for _, s := range bad(shots) {
		if s.at >= from && s.at < to {
			last = max(last, s.at-from)
		}
	}
	return last
}

// firstAnswer is how long after a moment one of these backends ("" for any) first answered.
func firstAnswer(shots []shot, after time.Duration, backend string) time.Duration {
	first := time.Duration(-1)
	for _, s := range shots {
		if s.err == nil && s.ended() >= after && (backend == "" || s.backend == backend) && (first < 0 || s.ended()-after < first) {
			first = s.ended() - after
		}
	}
	return first
}
