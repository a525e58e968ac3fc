package breaker

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/go-loadbalancer/lb"
)

// breaker puts permits that know their state around a circuit of failsafe-go, which decides when
// to change it. The circuit is never asked for leave and has no listeners: its own permits cannot
// be given back unused, its listeners may be called out of order.
type breaker struct {
	cfg   Config    // with its defaults
	begin time.Time // next and latest count from here

	word atomic.Uint64 // episode and state: see state. Written under mu
	next atomic.Int64  // when open: the earliest next trial. Written under mu, before word

	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	pace    circuitbreaker.CircuitBreaker[any] // opens when answers are too slow; nil: they may be
	cause   string                             // why it has opened
	opened  time.Duration                      // when it was closed last
	failed  int                                // in a row, since it is closed
	running int                                // trials of this round that have not ended
	round   uint16                             // of trials; a new one begins when patience with the last has ended
	latest  time.Duration                      // when the last trial was allowed
}

// An episode is the time from one change of state to the next. A word is its number, with the
// state in the lowest two bits; a permit is a word with the trial's round in the highest 16.
const (
	stateBits  = 2
	roundShift = 48
	wordMask   = 1<<roundShift - 1
)

func state(word uint64) lb.BreakerState { return lb.BreakerState(word & (1<<stateBits - 1)) }

func newBreaker(cfg Config) *breaker {
	return &breaker{cfg: cfg, begin: time.Now(), circuit: cfg.circuit(), pace: cfg.pace()}
}

// Allow asks to send one request.
func (b *breaker) Allow() (lb.Permit, bool) {
	word := b.word.Load()
	if state(word) == lb.Closed {
		return lb.Permit(word), true
	}
	now := time.Since(b.begin)
	if state(word) == lb.Open && now < time.Duration(b.next.Load()) {
		return 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.allowLocked(now)
}

func (b *breaker) allowLocked(now time.Duration) (lb.Permit, bool) {
	switch state(b.word.Load()) {
	case lb.Closed: // meanwhile
		return lb.Permit(b.word.Load()), true
	case lb.Open:
		if now < time.Duration(b.next.Load()) {
			return 0, false
		}
		b.circuit.HalfOpen()
		b.followLocked()
	}
	if b.running >= b.cfg.Trials {
		if now-b.latest < b.cfg.Patience {
			return 0, false
		}
		b.running = 0
		b.round++
	}
	b.running++
	b.latest = now
	return lb.Permit(uint64(b.round)<<roundShift | b.word.Load()), true
}

// Done says how the permit's request ended. It ignores permits of other episodes.
func (b *breaker) Done(p lb.Permit, o lb.Outcome) { b.DoneIn(p, o, 0) }

// DoneIn says how the permit's request ended, and after which time its answer began.
func (b *breaker) DoneIn(p lb.Permit, o lb.Outcome, after time.Duration) {
	word := uint64(p) & wordMask
	if state(word) == lb.Closed && o == lb.Neutral {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if word != b.word.Load() {
		return
	}
	if uint16(p>>roundShift) == b.round {
		b.running = max(0, b.running-1)
	}
	if o == lb.Neutral {
		return
	}
	slow := b.cfg.Slow > 0 && after > b.cfg.Slow
	if state(word) == lb.HalfOpen {
		b.triedLocked(o, slow)
	} else {
		b.countLocked(o, slow)
	}
	b.followLocked()
}

// triedLocked takes in how a trial ended.
func (b *breaker) triedLocked(o lb.Outcome, slow bool) {
	switch {
	case o == lb.Failure:
		b.cause = "a trial failed"
		b.circuit.RecordFailure()
	case slow:
		b.cause = fmt.Sprintf("a trial took longer than %v", b.cfg.Slow)
		b.circuit.RecordFailure()
	default:
		b.circuit.RecordSuccess()
	}
}

// countLocked takes in how a request ended while the breaker was closed.
func (b *breaker) countLocked(o lb.Outcome, slow bool) {
	if o == lb.Success {
		b.failed = 0
		b.circuit.RecordSuccess()
	} else {
		b.failed++
		b.circuit.RecordFailure()
	}
	m := b.circuit.Metrics()
	switch {
	case b.cfg.Consecutive > 0 && b.failed >= b.cfg.Consecutive:
		b.cause = fmt.Sprintf("%d requests in a row failed", b.failed)
		b.circuit.Open()
	case b.circuit.IsOpen():
		b.cause = fmt.Sprintf("%d of %d requests failed within %v", m.Failures(), m.Executions(), b.cfg.Window)
	case b.pace != nil && b.tooSlowLocked(slow):
		m = b.pace.Metrics()
		b.cause = fmt.Sprintf("%d of %d answers within %v took longer than %v", m.Failures(), m.Executions(), b.cfg.Window, b.cfg.Slow)
		b.circuit.Open()
	}
}

// tooSlowLocked counts an answer, and reports whether too many are slow.
func (b *breaker) tooSlowLocked(slow bool) bool {
	if slow {
		b.pace.RecordFailure()
	} else {
		b.pace.RecordSuccess()
	}
	return b.pace.IsOpen()
}

// followLocked begins an episode if the circuit has changed its state.
func (b *breaker) followLocked() {
	word, now := b.word.Load(), stateOf(b.circuit)
	if state(word) == now {
		return
	}
	if now == lb.Open {
		at := time.Since(b.begin)
		if state(word) == lb.Closed {
			b.opened = at
		}
		b.next.Store(int64(at + b.wait(at-b.opened)))
	}
	if now == lb.Closed {
		b.failed, b.cause, b.pace = 0, "", b.cfg.pace()
	}
	b.running, b.round = 0, 0
	b.word.Store((word>>stateBits+1)<<stateBits | uint64(now))
}

// wait is how long to leave a backend alone that has been out for so long.
func (b *breaker) wait(out time.Duration) time.Duration {
	const jitter = 0.2
	d := min(max(out/4, b.cfg.Soonest), b.cfg.Cooldown)
	return time.Duration(float64(d) * (1 - jitter + 2*jitter*rand.Float64()))
}

func stateOf(c circuitbreaker.CircuitBreaker[any]) lb.BreakerState {
	switch c.State() {
	case circuitbreaker.OpenState:
		return lb.Open
	case circuitbreaker.HalfOpenState:
		return lb.HalfOpen
	}
	return lb.Closed
}

// Status returns the state and, when that is Open, the earliest time of the next trial. It costs
// two atomic loads.
func (b *breaker) Status() (lb.BreakerState, time.Time) {
	s := state(b.word.Load())
	if s != lb.Open {
		return s, time.Time{}
	}
	return s, b.begin.Add(time.Duration(b.next.Load()))
}

// Cause says why the breaker is not closed, or returns "".
func (b *breaker) Cause() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cause
}
