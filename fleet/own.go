package fleet

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// record is what is known here about one backend. Requests write the first part, with atomic
// additions; the rest belongs to whoever holds Fleet.mu.
type record struct {
	results  atomic.Uint64
	failures atomic.Uint64
	nanos    atomic.Int64 // sum of latencies
	row      atomic.Int64
	slow     atomic.Int64 // successes in a row that took too long, since the last failure
	tripping atomic.Int64 // breakers that are not closed

	seen    time.Time // when it was looked at last
	before  counts    // what was counted then
	recent  window
	own     word
	silence silence
	upright time.Time // since when it is not lb.Down; zero: it is
	fell    bool      // it is lb.Down, and was upright long enough that this is news
	out     time.Time // when our own standing became out; zero: it is not
	tried   time.Time // since when it is tried again; zero: it is not
	retried bool      // that is after a term of ours, not somebody else's ejection

	held    hold
	by      []instance // on whose word
	refused time.Time  // until then it is not marked again: somebody here has let it back
	times   int        // terms in a row
	ended   time.Time  // the last of them
	argued  bool       // it is well here, and out elsewhere
}

type counts struct {
	results, failures uint64
	nanos             int64
}

// add counts one result. It is on the request path. Limit is from where on a success is slow.
func (r *record) add(failed bool, latency, limit time.Duration) {
	r.results.Add(1)
	r.nanos.Add(int64(latency))
	if failed {
		r.failures.Add(1)
		r.row.Add(1)
		return
	}
	if r.row.Load() != 0 {
		r.row.Store(0)
	}
	if latency > limit {
		r.slow.Add(1)
	} else if r.slow.Load() != 0 {
		r.slow.Store(0)
	}
}

func (r *record) counts() counts {
	failures := r.failures.Load() // first: there are never more than results
	return counts{results: r.results.Load(), failures: failures, nanos: r.nanos.Load()}
}

// upFor is how long a backend has to have been without lb.Down for that to be news. A health check that
// begins with all down marks a backend within a second.
const upFor = 3 * time.Second

// look takes in what has happened since the last look.
func (r *record) look(b *lb.Backend, now time.Time) {
	c, row := r.counts(), int(r.row.Load())
	failed, succeeded := c.failures-r.before.failures, c.results-c.failures-(r.before.results-r.before.failures)
	r.before = c
	switch {
	case row == 0 && succeeded > 0:
		r.own.success = now
	case succeeded > 0: // before the row
		r.own.success = r.seen
	}
	switch {
	case row == 0:
		r.own.began, r.own.last = time.Time{}, time.Time{}
	case succeeded > 0 || r.own.began.IsZero():
		r.own.began, r.own.last = now, now
	case failed > 0:
		r.own.last = now
	}
	r.own.row, r.seen = row, now
	r.own.slow = r.slow.Load() > 0
	if r.silence = r.silence.add(b.Tally()); row == 0 && r.silence.overdue(b.Latency()) {
		r.own.row, r.own.last = 1, now
		r.own.began = now.Add(-time.Duration(r.silence.looks) * lookEvery)
	}
	r.stand(b, now)
}

// stand finds out how the backend stands, apart from what we do to it ourselves.
func (r *record) stand(b *lb.Backend, now time.Time) {
	f := b.Facts()
	if r.held.why != stays {
		f &^= lb.Ejected
	}
	switch {
	case !f.Has(lb.Down):
		if r.upright.IsZero() {
			r.upright = now
		}
		r.fell = false
	case !r.upright.IsZero():
		r.fell = now.Sub(r.upright) >= upFor
		r.upright = time.Time{}
	}
	if !r.fell {
		f &^= lb.Down
	}
	was := r.own.standing
	r.own.standing = standingOf(f, r.tripping.Load() > 0)
	switch {
	case r.own.standing.out():
		if !was.out() {
			r.out = now
		}
		r.tried = time.Time{}
	case was.out():
		r.try(now, false)
	}
	r.settle(now)
}

// try notes that the backend is let back, unless it has had a success since it was out.
func (r *record) try(now time.Time, term bool) {
	if r.own.row > 0 || !r.own.success.After(r.out) {
		r.tried, r.retried = now, term
	}
	r.out = time.Time{}
}

// settle ends a trial after a success, or when there was no result for long.
func (r *record) settle(now time.Time) {
	if r.tried.IsZero() {
		return
	}
	if r.own.row == 0 && r.own.success.After(r.tried) || now.Sub(r.tried) > fresh {
		r.tried = time.Time{}
		return
	}
	if !r.own.standing.out() {
		r.own.standing = trying
	}
}

// again reports whether the backend has failed anew after a term of ours, without a success.
func (r *record) again() bool {
	return !r.tried.IsZero() && r.retried && r.own.row > 0 && r.own.last.After(r.tried)
}

// say is what is sent about the backend.
func (r *record) say(now time.Time) word {
	w := r.own
	w.slow = false
	within := r.recent.within(r.before)
	w.results, w.failures, w.latency = int(within.results), int(within.failures), r.mean()
	switch r.held.why {
	case together:
		w.standing = pooled
	case followed, outvoted:
		w.standing = following
	}
	if !w.failing(now) && !r.held.own { // long ago
		w.row, w.began, w.last = 0, time.Time{}, time.Time{}
	}
	if now.Sub(w.success) > fresh {
		w.success = time.Time{}
	}
	return w
}

// mean is the mean latency of the last seconds, or zero.
func (r *record) mean() time.Duration {
	c := r.recent.within(r.before)
	if c.results == 0 {
		return 0
	}
	return time.Duration(c.nanos / int64(c.results))
}

// slowFrom is from where on a success is slow: a quarter of a second, and four times the median of what
// the backends' answers take.
func slowFrom(records map[string]*record) time.Duration {
	var means []time.Duration
	for _, r := range records {
		if d := r.mean(); d > 0 {
			means = append(means, d)
		}
	}
	if len(means) == 0 {
		return maxLatency
	}
	slices.Sort(means)
	return max(250*time.Millisecond, 4*means[(len(means)-1)/2])
}

// window remembers the counts of the last seconds, one each Interval.
type window struct {
	marks [5]counts
	at    int // of the oldest
}

func (w window) add(c counts) window {
	w.marks[w.at] = c
	w.at = (w.at + 1) % len(w.marks)
	return w
}

func (w window) within(c counts) counts {
	old := w.marks[w.at]
	return counts{c.results - old.results, c.failures - old.failures, c.nanos - old.nanos}
}

// silence is how long a backend has left at least one request without a word, in looks, as in package
// health. It is evidence only beside the word of others.
type silence struct {
	answers, begun uint32
	looks          int
}

func (s silence) add(t lb.Tally) silence {
	if t.Answers != s.answers || int32(s.begun-t.Ended) < 1 {
		return silence{answers: t.Answers, begun: t.Begun}
	}
	s.looks++
	return s
}

// overdue reports whether the silence has lasted a quarter of a second, and four times as long as
// answers take.
func (s silence) overdue(latency time.Duration) bool {
	return time.Duration(s.looks)*lookEvery >= max(250*time.Millisecond, 4*latency)
}
