package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/budget"
	"github.com/go-loadbalancer/lb/internal/live"
)

// client is one balancer: its view of the backends, and what it has in flight there.
type client struct {
	policy   lb.Policy
	picker   lb.Picker // nil while no backend is known
	previous lb.Picker
	learner  interface{ Attempted(lb.Result) } // picker, if it learns; else nil
	backends []*lb.Backend                     // by index; nil for those that were never known
	loads    []live.Load
	index    map[*lb.Backend]int32
	eligible []*lb.Backend
	budget   budget.Budget
	next     func() (time.Duration, bool)
	answered func(*lb.Backend, lb.Report, time.Time)
}

// newClient makes a client that knows no backend yet.
func (w *world) newClient(i int) error {
	c := &w.clients[i]
	n := len(w.stations)
	c.backends, c.loads = make([]*lb.Backend, n), make([]live.Load, n)
	c.index = make(map[*lb.Backend]int32, n)
	for k := range c.loads {
		if w.cfg.Hedge.Quantile > 0 {
			c.loads[k].Track()
		}
	}
	c.next = w.cfg.Arrivals.Stream(Source{
		Client: i, Clients: len(w.clients),
		Own: w.generator(arriving, uint64(i)), Common: w.generator(together, 0),
	})
	if w.cfg.Probe.Policy != nil {
		c.policy, c.answered = w.cfg.Probe.Policy(i, func(b *lb.Backend) { w.ask(int32(i), b) })
	} else {
		c.policy = w.cfg.Policy(i)
	}
	if c.policy == nil {
		return fmt.Errorf("the policy of client %d is nil", i)
	}
	return w.look(c)
}

// look lets a client see the backends as they are, and builds its picker anew.
func (w *world) look(c *client) error {
	fit, set := 0, lb.Set{Previous: c.previous}
	for i := range w.stations {
		if err := w.describe(c, int32(i)); err != nil {
			return err
		}
		if s := &w.stations[i]; !s.Absent && !s.Down {
			fit++
		}
	}
	for i := range w.stations {
		switch s, b := &w.stations[i], c.backends[i]; {
		case s.Absent:
		case fit == 0 || !s.Down:
			set.Eligible = append(set.Eligible, lb.Candidate{Backend: b, Weight: float64(b.Weight())})
		default:
			set.Others = append(set.Others, b)
		}
	}
	c.picker, c.learner = nil, nil
	if len(set.Eligible) == 0 {
		return nil
	}
	w.sort(&set)
	c.eligible = c.eligible[:0]
	for _, e := range set.Eligible {
		c.eligible = append(c.eligible, e.Backend)
	}
	c.picker = c.policy(set)
	c.learner, _ = c.picker.(interface{ Attempted(lb.Result) })
	if c.picker != nil {
		c.previous = c.picker
	}
	return nil
}

// describe gives the client its backend of that index, with the weight that it has now.
func (w *world) describe(c *client, i int32) error {
	spec, old := w.stations[i].Spec, c.backends[i]
	if old != nil && old.Weight() == max(1, spec.Weight) && old.MaxInFlight() == spec.MaxInFlight {
		return nil
	}
	b, err := lb.NewBackend(spec, &c.loads[i])
	if err != nil {
		return err
	}
	delete(c.index, old)
	c.backends[i], c.index[b] = b, i
	return nil
}

// sort orders a set by ID, as a balancer's is.
func (w *world) sort(set *lb.Set) {
	if w.sorted {
		return
	}
	slices.SortFunc(set.Eligible, func(a, b lb.Candidate) int { return compareIDs(a.Backend, b.Backend) })
	slices.SortFunc(set.Others, compareIDs)
}

func compareIDs(a, b *lb.Backend) int {
	switch {
	case a.ID() < b.ID():
		return -1
	case a.ID() > b.ID():
		return 1
	}
	return 0
}

// picks is how often the picker is asked before the choice becomes a scan, as in the balancer.
const picks = 3

var errStranger = errors.New("the picker returned a backend that is not in its set")

// choose takes a place for a request as the balancer does it. It returns -1 if there is none.
func (w *world) choose(c *client, info lb.PickInfo) (int32, error) {
	if c.picker == nil {
		return -1, nil
	}
	for range picks {
		info.Rand = w.draws.picks.Uint64()
		b := c.picker.Pick(info)
		w.report.Picks++
		if b == nil {
			return -1, nil
		}
		i, ok := c.index[b]
		if !ok {
			return -1, errStranger
		}
		if w.take(c, i, &info) {
			return i, nil
		}
		info = info.WithTried(b)
	}
	from := int(w.draws.picks.Uint64() % uint64(len(c.eligible)))
	for k := range c.eligible {
		if i := c.index[c.eligible[(from+k)%len(c.eligible)]]; w.take(c, i, &info) {
			return i, nil
		}
	}
	return -1, nil
}

// take counts a request in on a backend, unless that is full or was tried before.
func (w *world) take(c *client, i int32, info *lb.PickInfo) bool {
	b := c.backends[i]
	return !info.Tried(b) && c.loads[i].Enter(b.MaxInFlight())
}

// judge tells everybody who learns how an attempt ended, as the balancer does it: only successes
// count for the latency, and only failures and successes at all.
func (w *world) judge(c *client, a *attempt, outcome lb.Outcome, why *reason) {
	now := w.time()
	latency := time.Duration(w.now - a.sent)
	load := &c.loads[a.backend]
	switch outcome {
	case lb.Success:
		load.Answered(now, latency)
		load.Judged(now, false)
	case lb.Failure:
		load.Judged(now, true)
	}
	load.Leave()
	if a.learner == nil {
		return
	}
	res := lb.Result{
		Request: a.seen, Backend: a.picked, Attempt: int(a.number), Latency: latency, Outcome: outcome,
		Status: why.status, Reason: why.word, Err: why.err, Report: a.report, Hedge: a.hedge,
	}
	a.learner.Attempted(res)
}

// reason is how an attempt ended, in a balancer's words.
type reason struct {
	status int
	word   string
	err    error
}

// reasons are the ways in which an attempt may end.
type reasons struct{ ok, failed, refused, late, cancelled reason }

func newReasons() reasons {
	return reasons{
		ok:        reason{status: http.StatusOK},
		failed:    reason{status: http.StatusServiceUnavailable, word: "status"},
		refused:   reason{word: "dial", err: errors.New("sim: connection refused")},
		late:      reason{word: "timeout", err: errors.New("sim: timeout")},
		cancelled: reason{word: "client", err: errors.New("sim: cancelled")},
	}
}

// generator returns one for a purpose.
func (w *world) generator(purpose, n uint64) *rand.Rand {
	return rand.New(rand.NewPCG(w.cfg.Seed, purpose<<32|n))
}

// The purposes of generators.
const (
	arriving = iota + 1
	together
	working
	picking
	travelling
	failing
	swapping
	asking
	waitingAgain
	noticing
	wishing
)
