package lb

import (
	"fmt"
	"net/http"
	"time"
)

// Queue has requests wait while every backend that would take them has as many as its MaxInFlight. They
// are served by priority, and in the order in which they came; each place that a request gives back
// goes to whoever is first, and who comes later does not overtake. What waits for nothing else: a
// request is not queued because backends are out or stopped by breakers (see Config.WaitForBackend),
// and a retry or a hedge takes a place that there is, or none. A request leaves when its client
// does. The zero value is off.
//
// Waiting costs a timer, and time in the logarithm of Length; an empty queue one atomic load for each
// request. A picker that insists on one backend, by picking no other, holds up all who are behind.
type Queue struct {
	// Length is how many may wait at a time. Whoever finds them waiting gets 503, ErrQueueFull,
	// unless its priority is above somebody's: then the last of the lowest gets it. Zero is off.
	Length int
	// Timeout is how long a request may wait: then it gets 503, ErrQueueTimeout, as when its own
	// deadline comes first. Zero means one second.
	Timeout time.Duration
	// Priority of a request: the highest is served first. It is called once for each request that
	// has to wait, must not block, and only reads. Nil means that all have the same.
	Priority func(*http.Request) int
}

func (q Queue) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lb: Config.Queue."+format, args...))
		}
	}
	add(q.Length < 0, "Length %d is negative; zero is off", q.Length)
	add(q.Timeout < 0, "Timeout %v is negative; zero means one second", q.Timeout)
	add(q.Length == 0 && (q.Timeout > 0 || q.Priority != nil), "Length is zero, which is off, and the others are set; try 100")
	return errs
}

// hopeful is how many requests wait for a backend at a time where Queue.Length does not say.
const hopeful = 1000

// look is how often whoever is first in line looks by itself: a pool tells nobody when it changes, and
// a place may be given back by another balancer.
const look = 5 * time.Millisecond

// need is what a request waits for.
type need uint8

const (
	nothing  need = iota // it does not wait
	aPlace               // all are full
	aBackend             // there is nobody to ask
)

// patience is how long requests wait, and where.
type patience struct {
	line
	place, backend time.Duration // zero: not at all
}

// newPatience returns nil if nobody ever waits.
func newPatience(q Queue, backend time.Duration) *patience {
	if q.Length == 0 && backend == 0 {
		return nil
	}
	p := &patience{backend: backend, line: line{length: hopeful, priority: q.Priority}}
	if q.Length > 0 {
		p.length, p.place = q.Length, time.Second
	}
	if q.Timeout > 0 {
		p.place = q.Timeout
	}
	return p
}

// needs says what t waits for, which found no place because of err.
func (p *patience) needs(t *trip, err error) need {
	switch {
	case p == nil:
	case err == ErrRefused && t.full && p.place > 0:
		return aPlace
	case err == ErrRefused && !t.full && t.denied && p.backend > 0, err == ErrNoBackend && p.backend > 0:
		return aBackend
	}
	return nothing
}

func (p *patience) timeout(n need) time.Duration {
	if n == aPlace {
		return p.place
	}
	return p.backend
}

// overflow is what whoever finds the line full gets.
func (n need) overflow() error {
	if n == aPlace {
		return ErrQueueFull
	}
	return ErrNoBackend
}

// expired is what whoever has waited for too long gets.
func (n need) expired() error {
	if n == aPlace {
		return ErrQueueTimeout
	}
	return ErrNoBackend
}

// seat finds a place for an attempt. The first of a request waits for one, if there is something to
// wait for.
func (b *Balancer) seat(t *trip) (*attempt, error) {
	if b.patience == nil || t.info.Attempt > 0 {
		return b.place(t)
	}
	n := nothing // nobody knows yet
	if b.patience.empty() {
		a, err := b.place(t)
		if err == nil {
			return a, nil
		}
		if n = b.patience.needs(t, err); n == nothing {
			return nil, err
		}
	}
	return b.patience.wait(t, n)
}

// wait has t stand in line until it has a place.
func (p *patience) wait(t *trip, n need) (*attempt, error) {
	came := time.Now()
	w, err := p.join(t.req, n)
	if err != nil {
		return nil, err
	}
	defer p.leave(w)
	if t.journal != nil {
		defer func() { t.journal.waited(time.Since(came)) }()
	}
	timer := time.NewTimer(p.timeout(w.need))
	defer timer.Stop()
	for {
		select {
		case <-w.turn:
		case <-timer.C:
		case <-t.req.Context().Done():
			return nil, left(t, w)
		}
		first, out := p.state(w)
		if out {
			return nil, w.need.overflow()
		}
		if first {
			a, err := p.try(t, w)
			if err == nil || w.need == nothing {
				return a, err
			}
		}
		rest := p.timeout(w.need) - time.Since(came)
		if rest <= 0 {
			return nil, w.need.expired()
		}
		if first {
			rest = min(rest, look)
		}
		timer.Reset(rest)
	}
}

// try looks for a place, and notes what w waits for if there is none.
func (p *patience) try(t *trip, w *waiter) (*attempt, error) {
	t.info.Now = time.Now()
	a, err := t.b.place(t)
	if err == nil {
		return a, nil
	}
	w.need = p.needs(t, err)
	p.note(w.need)
	return nil, err
}

// left says why a request that waited does so no longer.
func left(t *trip, w *waiter) error {
	if err := t.req.Context().Err(); !isTimeout(err) {
		return fmt.Errorf("%w: %w", ErrClient, err)
	}
	return w.need.expired()
}
