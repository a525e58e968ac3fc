package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// row is one fault.
type row struct {
	id      string
	title   string
	inject  string   // what is done
	accept  string   // what has to hold
	flags   []string // of the demo, after demoFlags
	needs   []string // flags without which the row cannot run, such as -wait=2s; added to flags
	compare bool     // foreign proxies take part
	open    bool     // known not to be met yet: then tests report, and do not fail
	why     string   // it is not met, if it is not
	bound   time.Duration
	run     func(*stage) (*outcome, error)
}

// rows lists all faults, in the order in which they are run and printed.
func rows() []row {
	return slices.Concat(crashRows(), hangRows(), wireRows(), changeRows(), lastRows())
}

// result is one row with one proxy.
type result struct {
	row     row
	proxy   string
	outcome *outcome // nil: it was not run
	why     string   // it was not run, or failed to
}

// perform runs a row with one proxy; nil means the demo.
func (h *harness) perform(ctx context.Context, r row, by *foreign) result {
	res := result{row: r, proxy: "lb"}
	if by != nil {
		res.proxy = by.name
	}
	for _, flag := range r.needs {
		if by == nil && !h.knows(flag) {
			res.why = "the demo has no flag " + flag
			return res
		}
	}
	r.flags = append(r.flags[:len(r.flags):len(r.flags)], r.needs...)
	dir, err := os.MkdirTemp(h.dir, r.id+"-")
	if err != nil {
		res.why = err.Error()
		return res
	}
	bound := max(r.bound, time.Minute)
	ctx, cancel := context.WithTimeoutCause(ctx, bound, fmt.Errorf("not done after %s", bound))
	defer cancel()
	s := &stage{ctx: ctx, h: h, row: r, dir: dir, by: by}
	defer s.close()
	o, err := r.run(s)
	if err != nil {
		res.why = err.Error()
		return res
	}
	if o.proxy = res.proxy; o.lost > 0 {
		o.count("POSTs answered and not executed", o.lost, 0)
	}
	res.outcome = o
	return res
}
