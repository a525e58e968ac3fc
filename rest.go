package lb

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// rest is what a backend has asked for, by Retry-After.
type rest struct {
	load         *live.Load
	asked, until time.Time
}

// cause says why its backend is Resting, for people.
func (r *rest) cause() string {
	return fmt.Sprintf("it asked to be left alone for %v", r.until.Sub(r.asked).Round(time.Millisecond))
}

// restOver says why a backend is Resting no longer.
const restOver = "its rest is over"

// rests are the backends that have asked to be left alone. Requests write it, when they are told so;
// the building of a view reads it.
type rests struct {
	mu  sync.Mutex
	all []rest // in the order of their asking; one for each backend
}

// note keeps what a backend asks for, and reports whether that is news. What it says while it rests
// already changes nothing: so whoever says it with each answer cannot have a view built for each.
func (rs *rests) note(r rest) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.pruneLocked(r.asked)
	if slices.ContainsFunc(rs.all, func(old rest) bool { return old.load == r.load }) {
		return false
	}
	rs.all = append(rs.all, r)
	return true
}

// at returns who rests at a time, in the order of asking.
func (rs *rests) at(now time.Time) []rest {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.pruneLocked(now)
	return slices.Clone(rs.all)
}

func (rs *rests) pruneLocked(now time.Time) {
	rs.all = slices.DeleteFunc(rs.all, func(r rest) bool { return !r.until.After(now) })
}

// spare leaves out who has asked for it, as far as at least half of those that can serve stay: it is a
// wish, and what backends say need not be true. Whoever asked first has it first.
func (v *view) spare(asked []rest) {
	if len(asked) == 0 {
		return
	}
	able := 0
	for i := range v.entries {
		if e := &v.entries[i]; e.eligible && e.backend.facts.Fit() && e.state == Closed {
			able++
		}
	}
	for i := range asked {
		e := v.entry(asked[i].load, -1)
		if e == nil || !e.eligible || !e.backend.facts.Fit() || 2*(len(v.resting)+1) > able {
			continue
		}
		shown := *e.backend
		shown.facts |= Resting
		shown.cause = asked[i].cause()
		e.backend, e.rest, e.eligible = &shown, &asked[i], false
		v.resting = append(v.resting, e)
		v.again(e.rest.until)
	}
}

// lastResort takes a place on a backend that rests, for a request that nobody else takes and that would
// get an answer of ours: the backend's own is no worse.
func (v *view) lastResort(t *trip) *attempt {
	if t.info.Attempt > 0 || t.b.patience.needs(t, ErrRefused) != nothing {
		return nil // it has an answer, or waits for somebody else
	}
	for _, e := range v.resting {
		if a := v.take(e.backend, t, Resting); a != nil {
			return a
		}
	}
	return nil
}

// heed notes for how long the backend asks to be left alone, with one of Retry.Statuses.
func (a *attempt) heed(lines []string) {
	b, now := a.trip.b, time.Now()
	if len(lines) == 0 || b.cfg.Retry.MaxRest == 0 {
		return
	}
	d := min(retryAfter(lines, now), b.cfg.Retry.MaxRest)
	if d > 0 && b.rests.note(rest{load: a.backend.load, asked: now, until: now.Add(d)}) {
		b.epoch.Add(1)
	}
}

// retryAfter is the time that the field Retry-After names, in seconds or as a date (RFC 9110, section
// 10.2.3). It is zero if that is over, or there is not one value that can be read.
func retryAfter(lines []string, now time.Time) time.Duration {
	if len(lines) != 1 {
		return 0
	}
	value := strings.TrimSpace(lines[0])
	if strings.Trim(value, "0123456789") != "" {
		at, err := http.ParseTime(value)
		if err != nil {
			return 0
		}
		return max(0, at.Sub(now))
	}
	n, err := strconv.ParseInt(cmp.Or(value, "0"), 10, 64)
	if err != nil || n > int64(math.MaxInt64/time.Second) {
		return math.MaxInt64 // of so many digits
	}
	return time.Duration(n) * time.Second
}
