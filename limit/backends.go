package limit

import (
	"cmp"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/go-loadbalancer/lb"
)

// Backends bounds how many requests of one balancer each backend has in flight, each by a limit of its
// own that follows the backend's latency. Where one is full, the balancer tries another; when all are,
// it answers 503 with Retry-After. Its methods may be called by many goroutines at once.
type Backends struct {
	cfg      AdaptiveConfig
	breakers func(*lb.Backend) lb.Breaker // may be nil

	mu    sync.Mutex
	known map[string]weak.Pointer[guard] // by ID; the balancer keeps them
}

// NewBackends returns a Backends, or an error that names every field that is wrong. Its limits stand
// before the breakers that another function makes, such as breaker.New returns; nil means that there
// are none. It starts nothing.
func NewBackends(cfg AdaptiveConfig, breakers func(*lb.Backend) lb.Breaker) (*Backends, error) {
	cfg = cfg.withDefaults()
	if err := cfg.faults(); err != nil {
		return nil, err
	}
	return &Backends{cfg: cfg, breakers: breakers, known: make(map[string]weak.Pointer[guard])}, nil
}

// Breaker makes the limit of a backend: it is the value for lb.Config.Breakers, of one balancer. A
// backend at its limit is not Open: its state is that of its breaker, or Closed without one. What is
// held against a backend is the time to its headers, as in lb.Result; requests count until they are
// judged, which streams and tunnels are soon after they have begun. An attempt costs no allocation,
// and about 0.1 µs.
func (bs *Backends) Breaker(b *lb.Backend) lb.Breaker {
	g := &guard{places: newPlaces(bs.cfg)}
	if bs.breakers != nil {
		g.breaker = bs.breakers(b)
		g.timed, _ = g.breaker.(timed)
	}
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for id, known := range bs.known {
		if known.Value() == nil {
			delete(bs.known, id)
		}
	}
	bs.known[b.ID()] = weak.Make(g)
	return g
}

// BackendLimit is the limit of one backend.
type BackendLimit struct {
	Backend         string // its ID
	Limit, InFlight int
}

// Limits returns the limits of all backends that the balancer knows, sorted by ID. Those that have
// left the pool may be among them for a while.
func (bs *Backends) Limits() (list []BackendLimit) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for id, known := range bs.known {
		if g := known.Value(); g != nil {
			list = append(list, BackendLimit{id, int(g.places.limit.Load()), int(g.places.inFlight.Load())})
		}
	}
	slices.SortFunc(list, func(a, b BackendLimit) int { return cmp.Compare(a.Backend, b.Backend) })
	return list
}

// timed is a breaker that wants to know how long answers took.
type timed interface {
	DoneIn(lb.Permit, lb.Outcome, time.Duration)
}

// guard is the limit of one backend, before its breaker. Permits are the breaker's.
type guard struct {
	places  *places
	breaker lb.Breaker // nil if there is none
	timed   timed      // the breaker, if it is; else nil
}

// Allow takes a place, and the breaker's permit.
func (g *guard) Allow() (permit lb.Permit, ok bool) {
	if !g.places.enter(0) {
		return 0, false
	}
	defer func() {
		if !ok { // or the breaker panics
			g.places.leave()
		}
	}()
	if g.breaker == nil {
		return 0, true
	}
	return g.breaker.Allow()
}

// Done gives the place back. From whoever does not say how long it took, nothing is learnt.
func (g *guard) Done(p lb.Permit, o lb.Outcome) {
	g.places.leave()
	if g.breaker != nil {
		g.breaker.Done(p, o)
	}
}

// DoneIn gives the place back and learns.
func (g *guard) DoneIn(p lb.Permit, o lb.Outcome, took time.Duration) {
	g.places.leave()
	g.places.judge(o, took)
	switch {
	case g.timed != nil:
		g.timed.DoneIn(p, o, took)
	case g.breaker != nil:
		g.breaker.Done(p, o)
	}
}

// Status is the breaker's. One that is full is not open: a place is free as soon as a request ends.
func (g *guard) Status() (lb.BreakerState, time.Time) {
	if g.breaker == nil {
		return lb.Closed, time.Time{}
	}
	return g.breaker.Status()
}

// Cause is the breaker's reason not to be closed, if it gives one.
func (g *guard) Cause() string {
	if b, ok := g.breaker.(interface{ Cause() string }); ok {
		return b.Cause()
	}
	return ""
}
