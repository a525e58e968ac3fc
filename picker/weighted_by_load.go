package picker

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// WeightedByLoadConfig is how WeightedByLoad makes weights of reports. The zero value is what gRPC
// has by default.
type WeightedByLoadConfig struct {
	// Update is how often the shares are made anew. Zero means 1s; the least is 100ms.
	Update time.Duration
	// Blackout is how long a backend has to report before its weight is believed: one that has just
	// started has had no time to be busy. Zero means 10s, negative none.
	Blackout time.Duration
	// Expiry is how long a weight is believed without news. Zero means 3min.
	Expiry time.Duration
	// ErrorPenalty is how much a share of failed requests adds to the utilisation: with 1, a backend
	// that fails all looks as if all of it was in use once more. Zero means 1, negative none.
	ErrorPenalty float64
}

// WeightedByLoad shares requests out by what the backends can do, as they say themselves with each
// answer: weight = rate / (utilisation + errors/rate x ErrorPenalty), as gRPC does it (proposal A58).
// One that does 100 requests per second and is half used gets twice the requests of one that does as
// many and is fully used. It is made for backends of different size, or with other things to do, that
// report their utilisation: package loadreport does, and so does whoever speaks ORCA.
//
// A backend without a weight, because it says nothing, not for long enough, or no more, gets the mean
// of those that have one, times its effective weight by the mean one; while nobody has one, that is
// all there is. A configured weight has no say once a backend's own is believed, but one that is
// warming up gets as much less of it.
//
// The shares are interleaved: each backend's turns are spread as by the golden ratio, from a start that
// the first pick draws. A pick is an atomic addition and, in the mean, two comparisons, for any number
// of backends. Once in Update a pick lays the shares out anew, in time and memory in the number of
// backends, while others go on with what there is.
func WeightedByLoad(cfg WeightedByLoadConfig) (lb.Policy, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	cfg.Update = cmp.Or(cfg.Update, time.Second)
	cfg.Blackout = max(0, cmp.Or(cfg.Blackout, 10*time.Second))
	cfg.Expiry = cmp.Or(cfg.Expiry, 3*time.Minute)
	cfg.ErrorPenalty = max(0, cmp.Or(cfg.ErrorPenalty, 1))
	return func(set lb.Set) lb.Picker { return newWeightedByLoad(cfg, set) }, nil
}

// faults lists what is wrong with a WeightedByLoadConfig, each with its cure.
func (cfg WeightedByLoadConfig) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("picker: WeightedByLoadConfig."+format, args...))
		}
	}
	add(cfg.Update != 0 && cfg.Update < 100*time.Millisecond, "Update %v is less than 100ms; zero means 1s", cfg.Update)
	add(cfg.Expiry < 0, "Expiry %v is negative; zero means 3min", cfg.Expiry)
	add(cfg.Expiry > 0 && cfg.Expiry <= cfg.Blackout, "Expiry %v is not above Blackout %v; no weight would ever be believed", cfg.Expiry, cfg.Blackout)
	add(!(cfg.ErrorPenalty <= 1e6), "ErrorPenalty %v is not at most a million; zero means 1, negative none", cfg.ErrorPenalty)
	return errs
}

// weightOf is A58's weight of a report, or zero if it does not say enough.
func weightOf(r *lb.Report, penalty float64) float64 {
	if !(r.Rate > 0 && r.Utilization > 0) {
		return 0
	}
	return r.Rate / (r.Utilization + r.Errors/r.Rate*penalty)
}

// reporter is what a backend has said. It lives as long as the backend is eligible or known.
type reporter struct {
	mu     sync.Mutex
	weight float64
	since  int64 // when it began to say so, in Unix nanoseconds; 0: it does not
	last   int64 // when it said so last
}

// hear notes a weight at a time.
func (r *reporter) hear(weight float64, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.since == 0 {
		r.since = now
	}
	r.weight, r.last = weight, now
}

// believed returns the weight, or zero in the blackout, and after the expiry, when a new blackout
// begins.
func (r *reporter) believed(cfg *WeightedByLoadConfig, now int64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.since == 0:
		return 0
	case now-r.last >= int64(cfg.Expiry):
		r.since = 0
		return 0
	case now-r.since < int64(cfg.Blackout):
		return 0
	}
	return r.weight
}

// weightedByLoad is the picker.
type weightedByLoad struct {
	cfg       WeightedByLoadConfig
	members   []lb.Candidate
	reporters map[string]*reporter // of members and of all others

	now      atomic.Int64 // of a pick of late, in Unix nanoseconds
	layout   atomic.Pointer[layout]
	updating sync.Mutex // held by whoever lays out anew
	turn     *turn
}

func newWeightedByLoad(cfg WeightedByLoadConfig, set lb.Set) *weightedByLoad {
	w := &weightedByLoad{cfg: cfg, members: set.Eligible, reporters: make(map[string]*reporter), turn: new(turn)}
	old, ok := set.Previous.(*weightedByLoad)
	if ok {
		w.turn = old.turn
		w.now.Store(old.now.Load())
	} else {
		old = new(weightedByLoad)
	}
	keep := func(b *lb.Backend) {
		r := old.reporters[b.ID()]
		if r == nil {
			r = new(reporter)
		}
		w.reporters[b.ID()] = r
	}
	for _, c := range set.Eligible {
		keep(c.Backend)
	}
	for _, b := range set.Others {
		keep(b)
	}
	w.layout.Store(w.lay(w.now.Load()))
	return w
}

func (w *weightedByLoad) Pick(info lb.PickInfo) *lb.Backend {
	now := info.Now.UnixNano()
	l := w.layout.Load()
	if now-l.made >= int64(w.cfg.Update) && w.updating.TryLock() {
		l = w.update(now)
	}
	if now-w.now.Load() > int64(time.Millisecond) { // a write that others would have to wait for
		w.now.Store(now)
	}
	if w.turn.Load() == 0 {
		w.turn.CompareAndSwap(0, info.Rand|1)
	}
	var b *lb.Backend
	for range 4 {
		if b = w.members[l.at(w.turn.Add(golden64))].Backend; !info.Tried(b) {
			break
		}
	}
	return b
}

// update lays out anew, unless somebody just has.
func (w *weightedByLoad) update(now int64) *layout {
	defer w.updating.Unlock()
	l := w.layout.Load()
	if now-l.made < int64(w.cfg.Update) {
		return l
	}
	l = w.lay(now)
	w.layout.Store(l)
	return l
}

// lay makes a layout of the weights that are believed at a time.
func (w *weightedByLoad) lay(now int64) *layout {
	weights := make([]float64, len(w.members))
	total, count := 0.0, 0.0
	for i, c := range w.members {
		if weights[i] = w.reporters[c.ID()].believed(&w.cfg, now); weights[i] > 0 {
			total += weights[i]
			count++
		}
	}
	mean := sum(w.members) / float64(len(w.members))
	for i, c := range w.members {
		switch {
		case count == 0:
			weights[i] = c.Weight
		case weights[i] == 0:
			weights[i] = total / count * c.Weight / mean
		default:
			weights[i] *= c.Weight / float64(c.Backend.Weight())
		}
	}
	l := newLayout(weights)
	l.made = now
	return l
}

// Attempted learns from what backends say. It is as late as the last pick.
func (w *weightedByLoad) Attempted(res lb.Result) {
	if res.Report == nil {
		return
	}
	weight := weightOf(res.Report, w.cfg.ErrorPenalty)
	if r := w.reporters[res.Backend.ID()]; r != nil && weight > 0 {
		r.hear(weight, w.now.Load())
	}
}
