package live

import (
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	perDoubling = 8 // buckets between a latency and its double: an error of at most an eighth
	doublings   = 27
	buckets     = doublings * perDoubling // from a microsecond to two minutes
	span        = 10 * time.Second        // of one generation
	least       = 100                     // answers, below which nothing is said of their quantiles
)

// recent counts latencies of the last one to two spans by their size. Of two updates at the moment
// of a change of generations one may be lost.
type recent struct {
	began   atomic.Int64 // of the present generation, in Unix nanoseconds
	present atomic.Uint32
	counts  [2][buckets]atomic.Uint32
}

// Track has Quantile know, from now on. It costs each good answer some nanoseconds, and two
// kilobytes of memory.
func (l *Load) Track() {
	if l.recent.Load() == nil {
		l.recent.CompareAndSwap(nil, new(recent))
	}
}

// Quantile returns the latency within which that share of the last good answers came, rounded up
// by at most an eighth, and whether enough are known. They are those of the last ten to twenty
// seconds, if Track was called. It costs some hundred nanoseconds.
func (l *Load) Quantile(now time.Time, share float64) (time.Duration, bool) {
	d, n := l.Recent(now, share)
	if n < least {
		return 0, false
	}
	return d, true
}

// Recent is Quantile for whoever makes something of few answers, too: it returns how many are known.
// The highest quantiles of few are the slowest of them. Without an answer it returns zeros.
func (l *Load) Recent(now time.Time, share float64) (d time.Duration, answers uint64) {
	r := l.recent.Load()
	if r == nil {
		return 0, 0
	}
	r.turn(now)
	var sums [buckets]uint64
	total := uint64(0)
	for g := range r.counts {
		for i := range r.counts[g] {
			n := uint64(r.counts[g][i].Load())
			sums[i] += n
			total += n
		}
	}
	if total == 0 {
		return 0, 0
	}
	left := uint64(share * float64(total))
	for i, n := range sums {
		if n > left {
			return limitOf(i), total
		}
		left -= n
	}
	return limitOf(buckets - 1), total
}

// add counts one latency.
func (r *recent) add(now time.Time, latency time.Duration) {
	r.turn(now)
	r.counts[r.present.Load()&1][bucketOf(latency)].Add(1)
}

// turn begins the next generation when it is time. After a long silence both are emptied. A clock
// that went back begins one, too, which would last until the clock has caught up.
func (r *recent) turn(now time.Time) {
	began := r.began.Load()
	age := now.UnixNano() - began
	if age >= -int64(span) && age < int64(span) || !r.began.CompareAndSwap(began, now.UnixNano()) {
		return
	}
	next := (r.present.Load() + 1) & 1
	r.empty(next)
	r.present.Store(next)
	if age >= 2*int64(span) {
		r.empty(next ^ 1)
	}
}

func (r *recent) empty(g uint32) {
	for i := range r.counts[g] {
		r.counts[g][i].Store(0)
	}
}

// bucketOf returns where a latency counts: by its highest bit in microseconds, and the three after it.
func bucketOf(d time.Duration) int {
	us := uint64(max(1, d/time.Microsecond))
	exp := bits.Len64(us) - 1
	sub := int(us<<3>>exp) & (perDoubling - 1)
	return min(exp*perDoubling+sub, buckets-1)
}

// limitOf returns what all in a bucket are below.
func limitOf(i int) time.Duration {
	exp, sub := i/perDoubling, i%perDoubling
	whole := uint64(perDoubling+sub) << exp / perDoubling // microseconds at the bottom
	return time.Duration(max(whole+1, uint64(perDoubling+sub+1)<<exp/perDoubling)) * time.Microsecond
}
