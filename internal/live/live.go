// Package live holds what changes about a backend while it serves: requests in flight, latency
// and failures. The balancer writes it, everybody else reads it through lb.Backend.
package live

import (
	"math"
	"sync/atomic"
	"time"
)

// Tau is the time constant with which old observations fade: after Tau without news, about a
// third of what was believed is left (Finagle's and Linkerd's peak-EWMA use the same 10 s).
const Tau = 10 * time.Second

// share is what one result counts for in the error rate.
const share = 0.1

// Load is the live part of a backend. The zero value is an idle backend that nobody has met.
// All methods may be called at any time by any goroutine and allocate nothing. Latency and
// error rate are estimates: of two updates at the same moment one may be lost.
type Load struct {
	places atomic.Uint64 // requests that have entered in the upper half, those in flight in the lower
	ended  atomic.Uint64 // answers in the upper half, requests that nobody waits for any more in the lower
	_      [112]byte     // the counters that every request writes have their cache lines to themselves

	latency   atomic.Int64           // nanoseconds to the response headers; 0 when none came yet
	timed     atomic.Int64           // when latency was last written, in Unix nanoseconds
	errorRate atomic.Uint64          // bits of a float64, 0 to 1
	judged    atomic.Int64           // when errorRate was last written, in Unix nanoseconds
	recent    atomic.Pointer[recent] // of good answers; nil: not counted
	failing   atomic.Int64           // when the last result was a failure, in Unix nanoseconds; 0 after a success

	held held
}

// Enter counts a request in, unless that would exceed limit. A limit of zero is none.
func (l *Load) Enter(limit int) bool {
	if n := inFlight(l.places.Add(entry)); limit > 0 && n > int64(limit) {
		l.Withdraw()
		return false
	}
	return true
}

// Withdraw undoes an Enter, in place of Leave: nothing was begun.
func (l *Load) Withdraw() { l.places.Add(^entry + 1) }

// Leave counts a request out.
func (l *Load) Leave() { l.places.Add(^uint64(0)) }

// InFlight returns how many requests have entered and not left.
func (l *Load) InFlight() int64 { return inFlight(l.places.Load()) }

// entry is what a request adds to places: one to each half, so that both cost one addition.
const entry uint64 = 1<<32 + 1

func inFlight(places uint64) int64 { return int64(int32(places)) }

// begun returns how many have entered. Fewer than none in flight would have borrowed from it.
func begun(places uint64) uint32 { return uint32((places - uint64(inFlight(places))) >> 32) }

// Answered records the time to the headers of a good response. A slower one than believed is
// believed at once; a faster one moves the belief by the time since the last, as in Finagle's
// PeakEwma: w = exp(-dt/Tau), cost = cost*w + latency*(1-w).
func (l *Load) Answered(now time.Time, latency time.Duration) {
	old, at := float64(l.latency.Load()), l.timed.Swap(now.UnixNano())
	next := float64(latency)
	if w := fade(now.UnixNano(), at); next < old {
		next = old*w + next*(1-w)
	}
	l.latency.Store(max(1, int64(next)))
	if r := l.recent.Load(); r != nil {
		r.add(now, latency)
	}
}

// Latency returns the peak-sensitive average of the time to response headers as it was last
// written; zero when no response came yet.
func (l *Load) Latency() time.Duration { return time.Duration(l.latency.Load()) }

// LatencyAt returns Latency faded to now, so that a backend nobody asks is forgiven in time.
func (l *Load) LatencyAt(now time.Time) time.Duration {
	return l.latencyAt(now.UnixNano())
}

// Judged records a result. Each counts for a tenth, on top of what is left of the older ones:
// rate = rate*exp(-dt/Tau), rate += (x - rate) * 0.1.
func (l *Load) Judged(now time.Time, failed bool) {
	x, failing := 0.0, int64(0)
	if failed {
		x, failing = 1, now.UnixNano()
	}
	if failed || l.failing.Load() != 0 {
		l.failing.Store(failing)
	}
	rate := l.ErrorRateAt(now)
	if x == rate {
		return // mostly 0 and 0: nothing to write
	}
	l.judged.Store(now.UnixNano())
	l.errorRate.Store(math.Float64bits(rate + (x-rate)*share))
}

// ErrorRate returns the moving share of failures as it was last written, 0 to 1.
func (l *Load) ErrorRate() float64 { return math.Float64frombits(l.errorRate.Load()) }

// ErrorRateAt returns ErrorRate faded to now.
func (l *Load) ErrorRateAt(now time.Time) float64 { return l.errorRateAt(now.UnixNano()) }

// At returns what is believed at a time: InFlight, LatencyAt and ErrorRateAt.
func (l *Load) At(now time.Time) (inFlight int64, latency time.Duration, errorRate float64) {
	at := now.UnixNano()
	return l.InFlight(), l.latencyAt(at), l.errorRateAt(at)
}

func (l *Load) latencyAt(now int64) time.Duration {
	return time.Duration(float64(l.latency.Load()) * fade(now, l.timed.Load()))
}

func (l *Load) errorRateAt(now int64) float64 {
	rate := l.ErrorRate()
	if rate == 0 {
		return 0
	}
	return rate * fade(now, l.judged.Load())
}

// Failing returns when the backend last failed, in Unix nanoseconds, or zero if its last
// result was a success or there was none.
func (l *Load) Failing() int64 { return l.failing.Load() }

// Set overwrites what is believed. It is for tests and simulations.
func (l *Load) Set(now time.Time, inFlight int64, latency time.Duration, errorRate float64) {
	l.places.Store(uint64(inFlight) * entry)
	l.latency.Store(int64(latency))
	l.timed.Store(now.UnixNano())
	l.errorRate.Store(math.Float64bits(errorRate))
	l.judged.Store(now.UnixNano())
}

// fade is exp(-dt/Tau) for the time since at, in Unix nanoseconds. A clock that went back counts as
// no time. Right after news, as it mostly is, three terms of the series are exact to 3e-9 and
// take half as long.
func fade(now, at int64) float64 {
	dt := now - at
	if dt <= 0 {
		return 1
	}
	x := float64(dt) * (1 / float64(Tau))
	if x < 1./64 {
		return 1 - x + x*x*(1./2-x*(1./6))
	}
	return math.Exp(-x)
}
