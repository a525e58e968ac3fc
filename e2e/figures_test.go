package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// figures are what one event did to a storm.
type figures struct {
	requests, failed   int
	known, moved       int           // requests of known sessions since the event, and those that were served elsewhere
	after              int           // of these, those after the recovery
	grown, strayed     int           // requests of sessions born since, and those that were served elsewhere than first
	partly, elsewhere  int           // requests of sessions that only the other balancer knew
	first, away        latencies     // of calls in the first second, and from then until the end
	normal             latencies     // of those after the recovery
	recovery           time.Duration // from the end until both stores are with Redis
	dials              int           // within a second, by one balancer, at most; -1 if nobody counted
	disagreed, unknown int           // sessions at the end: two balancers differ; Redis does not know
	late               latencies     // of timers of the test itself, meanwhile
}

// latencies are a sorted list.
type latencies []time.Duration

func (l latencies) quantile(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	return l[min(len(l)-1, int(q*float64(len(l))))]
}

func (l latencies) max() time.Duration { return l.quantile(1) }

func (l latencies) over(d time.Duration) (n int) {
	i, _ := slices.BinarySearch(l, d)
	return len(l) - i
}

// span is a time since the storm began.
type span struct{ from, to time.Duration }

func (s *storm) latencies(in span) (l latencies) {
	for _, store := range s.stores {
		store.mu.Lock()
		for _, c := range store.calls {
			if c.at >= in.from && c.at < in.to {
				l = append(l, c.took)
			}
		}
		store.mu.Unlock()
	}
	slices.Sort(l)
	return l
}

// judge counts what became of the requests since the event began.
func (s *storm) judge(f *figures, from, recovered time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.answers, func(a, b asked) int { return int(a.at - b.at) })
	firsts := map[string]string{}
	for _, q := range s.answers {
		f.requests++
		if q.backend == "" {
			f.failed++
			continue
		}
		if q.kind == born {
			firsts[q.session] = q.backend
		}
		if q.at >= from {
			f.count(q, s.homes[q.session], firsts[q.session], recovered)
		}
	}
}

func (f *figures) count(q asked, home, first string, recovered time.Duration) {
	switch q.kind {
	case known:
		f.known++
		if q.backend != home {
			f.moved++
			if q.at > recovered {
				f.after++
			}
		}
	case grown:
		f.grown++
		if first != "" && q.backend != first {
			f.strayed++
		}
	case partly:
		f.partly++
		if q.backend != home {
			f.elsewhere++
		}
	}
}

// watch notes, each 20 ms until over is closed, whether the stores share what they know, and returns
// the time of the first success after each moment.
func (s *storm) watch(over <-chan struct{}, name func(n int) string) (firstAfter func(time.Duration) time.Duration) {
	type probe struct {
		at time.Duration
		ok bool
	}
	var mu sync.Mutex
	var probes []probe
	s.t.Helper()
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			at := s.now() // a success proves that they were together at some time after this
			ok := s.shared(name(n))
			mu.Lock()
			probes = append(probes, probe{at, ok})
			mu.Unlock()
		}
	}()
	return func(moment time.Duration) time.Duration {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range probes {
			if p.ok && p.at >= moment {
				return p.at
			}
		}
		return -1
	}
}

// lateness measures by how much timers of a millisecond are late, until over is closed: calls cannot
// be expected to be more punctual than that.
func lateness(over <-chan struct{}, done func(latencies)) {
	var l latencies
	tick := time.NewTimer(time.Millisecond)
	defer tick.Stop()
	for {
		asked := time.Now()
		tick.Reset(time.Millisecond)
		select {
		case <-over:
			slices.Sort(l)
			done(l)
			return
		case <-tick.C:
			l = append(l, time.Since(asked)-time.Millisecond)
		}
	}
}

// settle counts the sessions on which two balancers do not agree in the end, and those known before that a
// new balancer does not find in Redis.
func (s *storm) settle(f *figures, w where) {
	s.t.Helper()
	s.mu.Lock()
	names := map[string]bool{}
	for _, q := range s.answers {
		names[stored(q.session)] = true
	}
	s.mu.Unlock()
	differ := func() (n int) {
		for name := range names {
			a, err := s.stores[0].Store.Lookup(s.t.Context(), name)
			b, err2 := s.stores[1].Store.Lookup(s.t.Context(), name)
			if err != nil || err2 != nil || a != b {
				n++
			}
		}
		return n
	}
	f.disagreed = differ()
	for end := time.Now().Add(5 * time.Second); f.disagreed > 0 && time.Now().Before(end); {
		f.disagreed = differ()
	}
	newcomer := openStore(s.t, w)
	eventually(s.t, "a new balancer reads", func() bool {
		_, err := newcomer.Lookup(s.t.Context(), "any")
		return err == nil
	})
	for session, home := range s.homes {
		if got, _ := newcomer.Lookup(s.t.Context(), stored(session)); got != home {
			f.unknown++
		}
	}
}

func (f *figures) row(name string) string {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }
	share := func(n, of int) string { return fmt.Sprintf("%d/%d", n, of) }
	return fmt.Sprintf("| %s | %s | %s | %d | %s | %s | %s, %s | %s, %s | %s | %s | %.2f s | %d | %d | %d | %s, %s |", name,
		share(f.failed, f.requests), share(f.moved, f.known), f.after, share(f.strayed, f.grown), share(f.elsewhere, f.partly),
		ms(f.first.quantile(.99)), ms(f.first.max()), ms(f.away.quantile(.99)), ms(f.away.max()), ms(f.normal.quantile(.99)),
		fmt.Sprintf("%d/%d, %d/%d", f.first.over(time.Millisecond), len(f.first), f.away.over(time.Millisecond), len(f.away)), f.recovery.Seconds(), f.dials, f.disagreed, f.unknown, ms(f.late.quantile(.99)), ms(f.late.max()))
}

const tableHead = "| event | failed | known moved | of these after | strayed | not known here | p99, max ms in the first second | p99, max ms then | p99 ms after | calls over 1 ms in the first second, then | recovery | dials/s | disagree | not in Redis | timers late p99, max ms |"

// slack is what a busy machine may add to a bound of time: such bounds are there to find hangs. What was
// measured is in the log.
const slack = 500 * time.Millisecond

// check holds the figures against what is promised. Counts are exact.
func (f *figures) check(t *testing.T, e event) {
	t.Helper()
	t.Log(tableHead)
	t.Log(f.row(e.name))
	if f.requests < perSecond/2 || f.known == 0 {
		t.Errorf("%d requests, %d of known sessions: that proves nothing", f.requests, f.known)
	}
	if f.failed > 0 {
		t.Errorf("%d of %d requests failed", f.failed, f.requests)
	}
	if f.moved*1000 > f.known || e.all && f.moved > 0 {
		t.Errorf("%d of %d requests of known sessions were served elsewhere", f.moved, f.known)
	}
	if f.after > 0 {
		t.Errorf("%d of them after the recovery", f.after)
	}
	if f.strayed > 0 {
		t.Errorf("%d of %d requests of sessions born meanwhile were served elsewhere than the first", f.strayed, f.grown)
	}
	if f.disagreed > 0 || e.all && f.unknown > 0 {
		t.Errorf("in the end balancers disagree on %d sessions, and Redis does not know %d", f.disagreed, f.unknown)
	}
	if f.dials > 10 {
		t.Errorf("%d dials within a second", f.dials)
	}
	if p99 := f.first.quantile(.99); p99 > storeTimeout+slack {
		t.Errorf("in the first second the 99th percentile is %v", p99)
	}
	if p99 := f.away.quantile(.99); p99 > time.Millisecond+slack {
		t.Errorf("then the 99th percentile is %v", p99)
	}
	if f.recovery < 0 || f.recovery > 2*time.Second+10*slack {
		t.Errorf("it took %v to recover", f.recovery)
	}
}
