package metrics

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	vm "github.com/VictoriaMetrics/metrics"
	"github.com/go-loadbalancer/lb"
)

// outcomes is how many values an lb.Outcome has.
const outcomes = int(lb.Failure) + 1

// series are one backend's metrics, so that an event needs no name. The ID is "" for those that
// nobody else has: requests without a backend, and late results.
type series struct {
	set      *vm.Set
	id       string
	attempts [outcomes]*vm.Counter
	duration *vm.PrometheusHistogram // nil for ""
	latency  window

	answers atomic.Pointer[map[int]*vm.Counter] // by status; replaced, never changed
	mu      sync.Mutex                          // serialises writers of answers
	names   []string                            // of all that is in the set; guarded by mu
	retired bool                                // guarded by mu
}

// newSeries puts a backend's metrics into the set.
func newSeries(set *vm.Set, id string) *series {
	s := &series{set: set, id: id}
	s.answers.Store(new(map[int]*vm.Counter))
	for o := range s.attempts {
		name := seriesName(attemptsTotal, "backend", id, "outcome", lb.Outcome(o).String())
		s.attempts[o] = set.GetOrCreateCounter(name)
		s.names = append(s.names, name)
	}
	if id != "" {
		name := seriesName(durationSeconds, "backend", id)
		s.duration = set.GetOrCreatePrometheusHistogramExt(name, vm.ExponentialBuckets(1e-4, 2, 16))
		s.names = append(s.names, name)
	}
	return s
}

// answered returns the counter of a status, or nil if s is retired and does not have it. A
// status that has been met before costs no lock and no allocation.
func (s *series) answered(status int) *vm.Counter {
	if status < 100 || status > 999 {
		status = 0
	}
	if c := (*s.answers.Load())[status]; c != nil {
		return c
	}
	return s.meet(status)
}

// meet makes the counter of a new status.
func (s *series) meet(status int) *vm.Counter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := (*s.answers.Load())[status]; c != nil || s.retired {
		return c
	}
	name := seriesName(requestsTotal, "backend", s.id, "status", fmt.Sprintf("%03d", status))
	c := s.set.GetOrCreateCounter(name)
	s.names = append(s.names, name)
	next := maps.Clone(*s.answers.Load())
	if next == nil {
		next = make(map[int]*vm.Counter)
	}
	next[status] = c
	s.answers.Store(&next)
	return c
}

// retire takes the metrics out of the set. What is still counted on them is not seen.
func (s *series) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	for _, name := range s.names {
		s.set.UnregisterMetric(name)
	}
	s.names = nil
}

// tried returns how many attempts were made and how many of them failed.
func (s *series) tried() (all, failed uint64) {
	for _, c := range s.attempts {
		all += c.Get()
	}
	return all, s.attempts[lb.Failure].Get()
}
