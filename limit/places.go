package limit

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// places counts requests in and out under a limit that follows their latency. Its methods may be
// called by many goroutines at once and allocate nothing.
type places struct {
	begin    time.Time
	inFlight atomic.Int64
	limit    atomic.Int64
	refused  atomic.Bool  // since the last change
	since    atomic.Int64 // when the window began, since begin
	first    atomic.Int64 // when the first request of all began
	base     atomic.Int64 // nanoseconds that requests take without queueing

	_    [64]byte
	sums atomic.Uint64 // answers and their latencies: being one word, they agree
	held atomic.Int64  // sum of what was in flight when they came

	mu       sync.Mutex // held by whoever changes the limit
	gradient gradient
}

// A sum is the number of answers in its upper 24 bits, and in the lower 40 the sum of the logarithms
// of their latencies, in units of 1/256.
const (
	countShift = 40
	sumMask    = 1<<countShift - 1
	logUnit    = 256
)

func newPlaces(cfg AdaptiveConfig) *places {
	p := &places{begin: time.Now()}
	p.gradient = gradient{min: float64(cfg.Min), max: float64(cfg.Max), limit: float64(cfg.Start), every: 1}
	p.limit.Store(int64(cfg.Start))
	return p
}

// enter takes a place, unless there are none but those that are reserved: so many fifths of the limit,
// and four places more. One place is reserved for nobody.
func (p *places) enter(reserved int) bool {
	limit := p.limit.Load()
	if reserved > 0 {
		limit = max(1, limit-chance-int64(reserved)*limit/5)
	}
	if p.inFlight.Add(1) > limit {
		p.inFlight.Add(-1)
		if !p.refused.Load() {
			p.refused.Store(true)
		}
		return false
	}
	return true
}

// leave gives a place back.
func (p *places) leave() { p.inFlight.Add(-1) }

// learn takes note of what an answer took that came now. Those that come soon after the limit has
// changed tell of the time before.
func (p *places) learn(now time.Time, took time.Duration) {
	at, since := now.Sub(p.begin), time.Duration(p.since.Load())
	if since == 0 {
		p.since.CompareAndSwap(0, int64(max(1, at-took)))
		p.first.CompareAndSwap(0, int64(max(1, at-took)))
	}
	if at < since {
		return
	}
	p.held.Add(p.inFlight.Load() + 1) // it has left
	sums := p.sums.Add(1<<countShift | uint64(math.Log2(float64(max(1, took)))*logUnit))
	if n := sums >> countShift; n < fewAnswers || at-since < windowLeast || n < manyAnswers && at-since < windowMost {
		return
	}
	if p.mu.TryLock() {
		defer p.mu.Unlock()
		p.adjustLocked(at)
	}
}

// judge takes note of an attempt that was judged now. A failure that took longer than answers do is
// one that was waited for in vain; others fail fast, which is not being fast.
func (p *places) judge(o lb.Outcome, took time.Duration) {
	if o == lb.Success || o == lb.Failure && int64(took) > p.base.Load() {
		p.learn(time.Now(), took)
	}
}

// adjustLocked changes the limit, if enough is known.
func (p *places) adjustLocked(at time.Duration) {
	sums := p.sums.Load()
	n := int(sums >> countShift)
	if !p.gradient.enough(n, at-time.Duration(p.since.Load())) {
		return
	}
	w := window{
		latency:  float64(sums&sumMask) / logUnit / float64(n),
		inFlight: float64(p.held.Load()) / float64(n),
		refused:  p.refused.Load(),
	}
	if float64(at)-float64(p.first.Load()) < young*math.Exp2(w.latency) {
		p.gradient.now = w.latency // only the fast ones have ended
	} else {
		p.gradient = p.gradient.next(w)
	}
	p.limit.Store(int64(p.gradient.limit))
	p.base.Store(int64(math.Exp2(p.gradient.base)))
	p.since.Store(int64(at + p.gradient.settling()))
	p.refused.Store(false)
	p.held.Store(0)
	p.sums.Store(0)
}
