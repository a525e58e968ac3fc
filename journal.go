package lb

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// journal is where a trip that is to be explained writes.
type journal struct {
	header bool // the client gets it, too

	mu  sync.Mutex // tries may end beside each other
	was Explanation
}

// asked makes a journal for the trip if anybody wants one.
func (t *trip) asked() {
	header := t.b.explainTo.Trust(t.peer)
	if wanted := t.b.observers.explain(t.req); header || wanted {
		t.journal = &journal{header: header}
	}
}

// choosing notes how things stand for a choice from v.
func (j *journal) choosing(v *view, t *trip) {
	all := v.standings(t.bound, t.info)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.was.Bound, j.was.Backends = t.bound, all
}

// waited notes how long the trip stood in line.
func (j *journal) waited(d time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.was.Waited = d
}

// ended notes an attempt's end.
func (j *journal) ended(res Result) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.was.Attempts = append(j.was.Attempts, res)
}

// read returns what was written so far.
func (j *journal) read() *Explanation {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.was
	e.Attempts = slices.Clone(e.Attempts)
	return &e
}

// explainHeader is what peers in Config.ExplainTo get.
const explainHeader = "Lb-Explain"

// explain tells the client, if it may know. A is whose answer it gets, or nil.
func (t *trip) explain(h http.Header, a *attempt) {
	if t.journal == nil || !t.journal.header {
		return
	}
	e := t.journal.read()
	if a != nil {
		e.Attempts = append(e.Attempts, a.result)
	}
	h.Set(explainHeader, strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, e.String()))
}

// maxExplained bounds the length of an explanation in one line.
const maxExplained = 1024

// String says it in one line of at most 1024 bytes, such as
//
//	attempts: a dial 1ms, b 200 3ms; candidates: b 0.5 (1 in flight for weight 2), c; left out: a tried, d down
//
// It is cut off at the end if it is longer.
func (e Explanation) String() string {
	var parts []string
	add := func(name string, words []string) {
		if len(words) > 0 {
			parts = append(parts, name+": "+strings.Join(words, ", "))
		}
	}
	var tries, in, out []string
	for _, r := range e.Attempts {
		tries = append(tries, r.brief())
	}
	for _, s := range e.Backends {
		if s.Eligible {
			in = append(in, s.brief())
		} else {
			out = append(out, s.brief())
		}
	}
	if e.Bound != "" {
		add("bound", []string{shown(e.Bound)})
	}
	if e.Waited > 0 {
		add("waited", []string{brief(e.Waited)})
	}
	add("attempts", tries)
	add("candidates", in)
	add("left out", out)
	return oneLine(strings.Join(parts, "; "))
}

// oneLine is a text on one line, and not too long.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxExplained {
		s = strings.ToValidUTF8(s[:maxExplained-3], "") + "..."
	}
	return s
}

// brief is a backend in a few words.
func (s Standing) brief() string {
	words := shown(s.Backend.ID())
	if s.Scored {
		words += fmt.Sprintf(" %.4g (%s)", s.Score, s.Detail)
	}
	if s.Why != "" {
		words += " " + s.Why
	}
	return words
}

// brief is an attempt in a few words.
func (r Result) brief() string {
	words := shown(r.Backend.ID())
	if r.Status != 0 {
		words += fmt.Sprint(" ", r.Status)
	}
	if r.Reason != "" && r.Reason != "status" {
		words += " " + r.Reason
	}
	return words + " " + brief(r.Latency)
}

// brief is a time in ASCII.
func brief(d time.Duration) string {
	return strings.Replace(d.Round(time.Microsecond).String(), "µ", "u", 1)
}
