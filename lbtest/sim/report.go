package sim

import (
	"math"
	"math/bits"
	"slices"
	"sync"
	"time"
)

// Report is what happened to the arrivals that count: those in Config.Duration. It is only to be
// read.
type Report struct {
	Requests int64 // arrivals
	Errors   int64 // of them that failed
	Timeouts int64 // requests that ended because their time was up
	Refused  int64 // requests that ended because no backend had a place for them
	Attempts int64 // requests sent to backends, also those of hedges and retries
	Waited   int64 // attempts that found all cores busy, under FIFO
	Picks    int64 // asked of pickers
	Retries  int64
	Hedges   int64
	Probes   int64

	// Latency is from arrival to end. Failed requests are in it: a timeout is as long as that.
	Latency *Durations
	// InFlight is how many requests there were at a backend, over time and backends.
	InFlight *Levels
	// Backends are as in Config.Backends.
	Backends []BackendReport
	// Series is the whole run, from its beginning to the end of Config.Duration, in windows.
	Series []Window

	Events int64         // that happened in the whole run
	Hash   uint64        // of all of them in their order, and of all picks
	End    time.Duration // when nothing was in flight any more
}

// BackendReport is what happened at one backend.
type BackendReport struct {
	ID       string
	Attempts int64
	Failures int64
	Share    float64 // of all attempts
	InFlight float64 // on average over time
	Busy     float64 // cores at work, on average over time
}

// Window is a part of the run. What ended in it may have arrived before.
type Window struct {
	From, To    time.Duration
	Ended       int64
	Errors      int64
	P50, P99    time.Duration // of what ended; zero if nothing did
	Mean        float64       // requests at a backend, when it closed
	MidInFlight int64         // the median of that over backends
	MaxInFlight int64
}

// exactly is how many durations are kept one by one.
const exactly = 10_000_000

// Durations is a set of durations. Up to ten million are kept as they are, at eight bytes each; with
// more, quantiles are within a thousandth. It may be read by several goroutines.
type Durations struct {
	kept   []uint64
	counts []int64 // by bucket; nil while all are kept
	n      int64
	sum    float64
	most   uint64
	sorted sync.Once
}

func (d *Durations) add(took uint64) {
	d.n++
	d.sum += float64(took)
	d.most = max(d.most, took)
	if d.counts == nil && len(d.kept) < exactly {
		d.kept = append(d.kept, took)
		return
	}
	if d.counts == nil {
		d.counts = make([]int64, bucket(math.MaxUint64)+1)
		for _, k := range d.kept {
			d.counts[bucket(k)]++
		}
		d.kept = nil
	}
	d.counts[bucket(took)]++
}

// Count returns how many there are.
func (d *Durations) Count() int64 { return d.n }

// Mean returns their mean, zero if there are none.
func (d *Durations) Mean() time.Duration { return time.Duration(d.sum / float64(max(1, d.n))) }

// Max returns the longest.
func (d *Durations) Max() time.Duration { return asDuration(d.most) }

// Quantile returns the smallest duration that at least a share q of them, 0 to 1, do not exceed;
// zero if there are none. The first call sorts them.
func (d *Durations) Quantile(q float64) time.Duration {
	if d.n == 0 {
		return 0
	}
	rank := int64(min(max(math.Ceil(q*float64(d.n)), 1), float64(d.n)))
	if d.counts == nil {
		d.sorted.Do(func() { slices.Sort(d.kept) })
		return asDuration(d.kept[rank-1])
	}
	for i, c := range d.counts {
		if rank -= c; rank <= 0 {
			return asDuration(min(floor(i+1)-1, d.most))
		}
	}
	return d.Max()
}

const fine = 10 // bits of a duration that a bucket keeps

// bucket returns where v is counted: each power of two is in a thousand parts.
func bucket(v uint64) int {
	e := max(0, bits.Len64(v)-fine-1)
	return e<<fine + int(v>>e)
}

// floor returns the smallest duration of a bucket.
func floor(i int) uint64 {
	e := max(0, i>>fine-1)
	return uint64(i-e<<fine) << e
}

// Levels is how long something was at each level, from zero on.
type Levels struct {
	at    []float64 // nanoseconds
	total float64
}

func (l *Levels) add(level int64, ns uint64) {
	for int(level) >= len(l.at) {
		l.at = append(l.at, 0)
	}
	l.at[level] += float64(ns)
	l.total += float64(ns)
}

// Mean returns the average over time, zero if there was none.
func (l *Levels) Mean() float64 {
	sum := 0.0
	for i, ns := range l.at {
		sum += float64(i) * ns
	}
	return sum / max(1, l.total)
}

// Quantile returns the lowest level that was not exceeded for a share q of the time, 0 to 1.
func (l *Levels) Quantile(q float64) int64 {
	below := 0.0
	for i, ns := range l.at {
		if below += ns; below >= q*l.total && below > 0 {
			return int64(i)
		}
	}
	return l.Max()
}

// AtLeast returns the share of the time for which it was at this level or above, 0 to 1.
func (l *Levels) AtLeast(level int64) float64 {
	sum := 0.0
	for i := max(0, level); i < int64(len(l.at)); i++ {
		sum += l.at[i]
	}
	return sum / max(1, l.total)
}

// Max returns the highest level there was for any time at all.
func (l *Levels) Max() int64 {
	for i := len(l.at) - 1; i > 0; i-- {
		if l.at[i] > 0 {
			return int64(i)
		}
	}
	return 0
}

// tally is what a backend's report is made of.
type tally struct {
	attempts, failures int64
	queue, busy        float64 // over nanoseconds
}

// windows makes the series.
type windows struct {
	from   uint64
	took   []uint64
	errors int64
}

func (p *windows) ended(took uint64, failed bool) {
	p.took = append(p.took, took)
	if failed {
		p.errors++
	}
}

// close ends a window at a time.
func (p *windows) close(now uint64, stations []station) Window {
	out := Window{From: asDuration(p.from), To: asDuration(now), Ended: int64(len(p.took)), Errors: p.errors}
	slices.Sort(p.took)
	if n := len(p.took); n > 0 {
		out.P50, out.P99 = asDuration(p.took[(n-1)/2]), asDuration(p.took[(99*n-1)/100])
	}
	levels := make([]int64, len(stations))
	for i := range stations {
		levels[i] = stations[i].rif
		out.Mean += float64(levels[i]) / float64(len(stations))
	}
	slices.Sort(levels)
	out.MidInFlight, out.MaxInFlight = levels[(len(levels)-1)/2], levels[len(levels)-1]
	p.from, p.took, p.errors = now, p.took[:0], 0
	return out
}

func asDuration(ns uint64) time.Duration { return time.Duration(min(ns, math.MaxInt64)) }
