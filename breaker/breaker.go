package breaker

import (
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
	consecutive int // negative: off
	trials      int
	patience    time.Duration
	begin       time.Time // next and latest count from here

	word atomic.Uint64 // episode and state: see state. Written under mu
	next atomic.Int64  // when open: the earliest next trial. Written under mu, before word

	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	failed  int           // in a row; closing follows a success, so every closed episode begins with none
	running int           // trials of this round that have not ended
	round   uint16        // of trials; a new one begins when patience with the last has ended
	latest  time.Duration // when the last trial was allowed
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
	return &breaker{
		consecutive: cfg.Consecutive,
		trials:      cfg.Trials,
		patience:    cfg.Patience,
		begin:       time.Now(),
		circuit:     cfg.circuit(),
	}
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
	if b.running >= b.trials {
		if now-b.latest < b.patience {
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
func (b *breaker) Done(p lb.Permit, o lb.Outcome) {
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
	switch o {
	case lb.Success:
		b.failed = 0
		b.circuit.RecordSuccess()
	case lb.Failure:
		b.failed++
		b.circuit.RecordFailure()
		if b.consecutive > 0 && b.failed >= b.consecutive {
			b.circuit.Open()
		}
	}
	b.followLocked()
}

// followLocked begins an episode if the circuit has changed its state.
func (b *breaker) followLocked() {
	word, now := b.word.Load(), stateOf(b.circuit)
	if state(word) == now {
		return
	}
	if now == lb.Open {
		b.next.Store(int64(time.Since(b.begin) + b.circuit.RemainingDelay()))
	}
	b.running, b.round = 0, 0
	b.word.Store((word>>stateBits+1)<<stateBits | uint64(now))
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
