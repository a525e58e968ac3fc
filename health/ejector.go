package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// EjectorConfig is when an Ejector takes backends out, and for how long. Pool is required.
type EjectorConfig struct {
	Pool Pool // whose backends are ejected

	// Failures is how many requests in a row have to fail. Zero means 5.
	Failures int
	// Time is how long the first ejection lasts. The second in a row lasts twice as long, the
	// third three times, and so on. One is forgotten for every Time that the backend was not
	// ejected. Zero means 30s.
	Time time.Duration
	// MaxTime bounds one ejection, the first included. Zero means 300s, or Time if that is longer.
	MaxTime time.Duration
	// MaxShare is which share, 0 to 1, of the backends that do not drain may be ejected at a
	// time, rounded down but at least one. The last one that is fit is never ejected. Zero means
	// 0.5.
	MaxShare float64
}

// Ejector marks a backend lb.Ejected when too many requests in a row have failed there, and
// takes that back when its time is over. What a failure is, the balancer says: nothing that
// clients can cause alone. It ejects only while it runs, since somebody has to let them back.
type Ejector struct {
	cfg     EjectorConfig
	records atomic.Pointer[map[string]*record] // by ID, never changed; nil while it does not run

	// mu is held while a backend is ejected or let back, the pool's part included, so that the
	// cap holds. The request path does not wait for it: who finds it taken leaves it to the next
	// failure.
	mu    sync.Mutex
	known *lb.Snapshot // that the records were made for
	full  *lb.Snapshot // in which no further backend may be ejected
}

// record is what an Ejector knows about one backend.
type record struct {
	failures atomic.Int64 // in a row
	out      bool         // we have ejected it; guarded by Ejector.mu, as is term
	term     term
}

// NewEjector returns an Ejector that has yet to Run, or an error that names every field that is
// wrong.
func NewEjector(cfg EjectorConfig) (*Ejector, error) {
	var errs []error
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("health: EjectorConfig."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Failures < 0, "Failures %d is negative; zero means 5", cfg.Failures)
	add(cfg.Time < 0, "Time %v is negative; zero means 30s", cfg.Time)
	add(cfg.MaxTime < 0 || cfg.MaxTime > 0 && cfg.MaxTime < cfg.Time, "MaxTime %v is less than Time %v; zero means 300s", cfg.MaxTime, cfg.Time)
	add(!(cfg.MaxShare >= 0 && cfg.MaxShare <= 1), "MaxShare %v is not between 0 and 1; it is a share of the backends", cfg.MaxShare)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	cfg.Failures = cmp.Or(cfg.Failures, 5)
	cfg.Time = cmp.Or(cfg.Time, min(30*time.Second, cmp.Or(cfg.MaxTime, time.Hour)))
	cfg.MaxTime = cmp.Or(cfg.MaxTime, max(300*time.Second, cfg.Time))
	cfg.MaxShare = cmp.Or(cfg.MaxShare, 0.5)
	return &Ejector{cfg: cfg}, nil
}

// Observer returns what to put into lb.Config.Observers. Several balancers may share it.
func (e *Ejector) Observer() lb.Observer { return lb.Observer{Attempt: e.attempt} }

// Run lets ejected backends back when their time is over, to the second, until ctx is done. Then
// it lets all back. It returns an error only if it is running already.
func (e *Ejector) Run(ctx context.Context) error {
	if !e.records.CompareAndSwap(nil, new(map[string]*record)) {
		return errors.New("health: the Ejector is running already")
	}
	defer e.stop()
	tick := time.NewTicker(min(lookEvery, e.cfg.Time))
	defer tick.Stop()
	for {
		e.look(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stop lets all back.
func (e *Ejector) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	records := *e.records.Swap(nil)
	e.known = nil
	for id, r := range records {
		if r.out {
			e.cfg.Pool.Clear(id, lb.Ejected, "the ejector has stopped")
		}
	}
}

// look lets back those whose time is over.
func (e *Ejector) look(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	snap := e.cfg.Pool.Snapshot()
	e.renewLocked(snap)
	for id, r := range *e.records.Load() {
		switch {
		case !r.out:
		case !snap.Find(id).Facts().Has(lb.Ejected):
			r.backLocked(now) // somebody else has let it back
		case !now.Before(r.term.turn):
			r.backLocked(now)
			e.cfg.Pool.Clear(id, lb.Ejected, "its time is over")
		}
	}
}

// renewLocked makes the records those of the backends in snap.
func (e *Ejector) renewLocked(snap *lb.Snapshot) {
	if snap == e.known {
		return
	}
	old, next := *e.records.Load(), make(map[string]*record, snap.Len())
	for i := range snap.Len() {
		id := snap.At(i).ID()
		if next[id] = old[id]; next[id] == nil {
			next[id] = new(record)
		}
	}
	e.records.Store(&next)
	e.known = snap
}

// attempt counts one result. It is on the request path.
func (e *Ejector) attempt(res lb.Result) {
	records := e.records.Load()
	if res.Outcome == lb.Neutral || records == nil {
		return
	}
	r := (*records)[res.Backend.ID()]
	switch {
	case r == nil:
		if r = e.meet(res.Backend.ID()); r == nil {
			return
		}
	case res.Outcome == lb.Success:
		if r.failures.Load() != 0 {
			r.failures.Store(0)
		}
		return
	}
	if res.Outcome == lb.Failure && r.failures.Add(1) >= int64(e.cfg.Failures) {
		e.consider(r, res, time.Now())
	}
}

// meet returns a record for a backend that has come since the last look, or nil if it is not in
// the pool, or somebody else is busy.
func (e *Ejector) meet(id string) *record {
	if e.cfg.Pool.Snapshot().Find(id) == nil || !e.mu.TryLock() {
		return nil
	}
	defer e.mu.Unlock()
	if e.records.Load() == nil {
		return nil // stopped
	}
	e.renewLocked(e.cfg.Pool.Snapshot())
	return (*e.records.Load())[id]
}

// consider ejects a backend, if it is still fit and there is room.
func (e *Ejector) consider(r *record, res lb.Result, now time.Time) {
	if !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	id, snap := res.Backend.ID(), e.cfg.Pool.Snapshot()
	b := snap.Find(id)
	if b == nil || !b.Facts().Fit() || e.records.Load() == nil {
		return
	}
	if r.out { // somebody else has let it back
		r.backLocked(now)
		if r.failures.Add(1) < int64(e.cfg.Failures) {
			return
		}
	}
	if !e.roomLocked(snap) {
		return
	}
	r.term = r.term.begin(now, e.cfg)
	r.out = true
	e.cfg.Pool.Mark(id, lb.Ejected, fmt.Sprintf("%d requests in a row failed, the last for %q; out for %v",
		r.failures.Load(), res.Reason, r.term.turn.Sub(now)))
}

// roomLocked reports whether one more of the fit backends in snap may be ejected. The answer is
// remembered, so that an outage of all does not cost each request a walk over the backends.
func (e *Ejector) roomLocked(snap *lb.Snapshot) bool {
	if snap == e.full {
		return false
	}
	total, ejected, fit := 0, 0, 0
	for i := range snap.Len() {
		f := snap.At(i).Facts()
		if f.Has(lb.Draining) {
			continue
		}
		total++
		if f.Has(lb.Ejected) {
			ejected++
		}
		if f.Fit() {
			fit++
		}
	}
	const rounding = 1e-9 // so that 0.29 of 100 is 29
	most := max(1, int(e.cfg.MaxShare*float64(total)+rounding))
	if fit > 1 && ejected < most {
		return true
	}
	e.full = snap
	return false
}

// backLocked notes that the backend is no longer ejected.
func (r *record) backLocked(now time.Time) {
	r.term = r.term.end(now)
	r.failures.Store(0)
	r.out = false
}

// term is how long a backend stays out. The zero value is that of a backend that never was.
type term struct {
	times int       // ejections in a row that have not been forgotten
	turn  time.Time // when it has to come back, or when it came back
}

// begin starts the next ejection: min(Time*times, MaxTime), as in Envoy's outlier detection.
func (t term) begin(now time.Time, cfg EjectorConfig) term {
	forgotten := int(min(max(0, now.Sub(t.turn)/cfg.Time), time.Duration(t.times)))
	most := int((cfg.MaxTime + cfg.Time - 1) / cfg.Time) // times beyond that would be forgotten too late
	t.times = min(t.times-forgotten+1, most)
	t.turn = now.Add(min(time.Duration(t.times)*cfg.Time, cfg.MaxTime))
	return t
}

// end ends an ejection.
func (t term) end(now time.Time) term {
	t.turn = now
	return t
}
