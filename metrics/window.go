package metrics

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A window is a ring of slices. One of them is written, and in turn each becomes the oldest and
// is emptied.
const (
	windowSlices = 6
	sliceLength  = 10 * time.Second
)

// Eight buckets for each doubling, from one microsecond to 67 seconds, as HdrHistogram has them:
// the middle of a bucket is at most 1/16 off.
const (
	stepsBits = 3
	steps     = 1 << stepsBits
	doublings = 24
	buckets   = steps * doublings
)

// window counts durations in about the last minute. The zero value is empty. All methods may be
// called at any time by any goroutine and allocate nothing. It takes 4.6 KB.
type window struct {
	counts [windowSlices][buckets]atomic.Uint32
}

// record counts d in a slice.
func (w *window) record(slice uint32, d time.Duration) { w.counts[slice][bucketOf(d)].Add(1) }

// clear empties a slice.
func (w *window) clear(slice uint32) {
	for i := range w.counts[slice] {
		w.counts[slice][i].Store(0)
	}
}

// quantiles returns the durations that shares p and q of all counted ones do not exceed, or
// zeros if the window is empty.
func (w *window) quantiles(p, q float64) (atP, atQ time.Duration) {
	var merged [buckets]uint64
	total := uint64(0)
	for s := range w.counts {
		for i := range w.counts[s] {
			n := uint64(w.counts[s][i].Load())
			merged[i] += n
			total += n
		}
	}
	if total == 0 {
		return 0, 0
	}
	return quantile(&merged, total, p), quantile(&merged, total, q)
}

// quantile returns the middle of the bucket that has the nearest rank.
func quantile(merged *[buckets]uint64, total uint64, p float64) time.Duration {
	rank := max(1, uint64(math.Ceil(p*float64(total))))
	for i, n := range merged {
		if n >= rank {
			return middleOf(i)
		}
		rank -= n
	}
	return middleOf(buckets - 1)
}

// bucketOf returns the index of the bucket that has d.
func bucketOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < steps {
		return int(us)
	}
	e := bits.Len64(us) - 1 - stepsBits
	return min(e*steps+int(us>>e), buckets-1)
}

// middleOf returns the duration in the middle of bucket i.
func middleOf(i int) time.Duration {
	e := max(0, i/steps-1)
	low, width := time.Duration(i-e*steps)<<e, time.Duration(1)<<e
	return (2*low + width) * time.Microsecond / 2
}
