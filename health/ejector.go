package health

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Ejector marks a backend lb.Ejected that answers too badly, and takes that back when its time is
// over. What a failure is, the balancer says: nothing that clients can cause alone. It ejects only
// while it runs, since somebody has to let them back.
//
// There are four rules, Envoy's but for what small pools and small numbers need:
//
//   - Failures or GatewayFailures in a row, which is noticed at once.
//   - FailureShare: too large a share of at least 50 results within Interval were failures.
//   - Deviations: of at least five backends with Requests results or more, those whose success rate is
//     below mean - Deviations * standard deviation, all weighing the same.
//   - Median: of backends with at least 30 results, those of which a tenth or more is bad, and three
//     times as much as the median of the others. It works in pools of two and up, and where so many
//     are bad that the deviations are large.
//
// For the last two, any answer of 500 and up is bad, and bad results have to be more than chance
// explains: more than L + 5*sqrt(L) + 1.5, where L is how many the others' share, with one bad result
// more, lets expect. With Poisson's distribution that happens to a backend that is like the others
// a few times in a million intervals.
//
// A result costs an atomic addition. The last three rules are tried ten times an interval, by Run,
// which costs time in the number of backends.
type Ejector struct {
	cfg     EjectorConfig
	records atomic.Pointer[map[string]*record] // by ID, never changed; nil while it does not run

	// mu is held while a backend is ejected or let back, the pool's part included, so that the
	// cap holds. The request path does not wait for it: who finds it taken leaves it to the next
	// failure.
	mu    sync.Mutex
	known *lb.Snapshot // that the records were made for
	full  *lb.Snapshot // in which no further backend may be ejected
	next  time.Time    // when the rates are looked at again
}

// record is what an Ejector knows about one backend.
type record struct {
	results  atomic.Uint64
	bad      atomic.Uint64 // failures, and answers of 500 and up
	failed   atomic.Uint64
	failures atomic.Int64 // in a row
	gateway  atomic.Int64 // in a row

	window window // guarded by Ejector.mu, as is what follows
	out    bool   // we have ejected it
	term   term
}

// NewEjector returns an Ejector that has yet to Run, or an error that names every field that is
// wrong.
func NewEjector(cfg EjectorConfig) (*Ejector, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	return &Ejector{cfg: cfg.withDefaults()}, nil
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
	tick := time.NewTicker(min(lookEvery, e.cfg.Time, e.cfg.Interval/slots))
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

// look lets back those whose time is over, and ejects those whose rates say so.
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
	if !now.Before(e.next) {
		e.next = now.Add(e.cfg.Interval / slots)
		e.compareLocked(now)
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
	if r == nil {
		if r = e.meet(res.Backend.ID()); r == nil {
			return
		}
	}
	r.results.Add(1)
	if res.Outcome == lb.Success {
		r.succeeded(res.Status)
		return
	}
	r.bad.Add(1)
	r.failed.Add(1)
	if failures, gateway := r.fell(res.Status); reached(failures, e.cfg.Failures) || reached(gateway, e.cfg.GatewayFailures) {
		e.consider(r, res, time.Now())
	}
}

// fell makes both rows of failures longer by a result, or ends the one that it does not belong to.
func (r *record) fell(status int) (failures, gateway int64) {
	switch {
	case status == 0, status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		gateway = r.gateway.Add(1)
	case r.gateway.Load() != 0:
		r.gateway.Store(0)
	}
	return r.failures.Add(1), gateway
}

func reached(n int64, limit int) bool { return limit > 0 && n >= int64(limit) }

// succeeded ends the rows of failures. That an answer is bad all the same only counts for the rates.
func (r *record) succeeded(status int) {
	if status >= http.StatusInternalServerError {
		r.bad.Add(1)
	}
	if r.failures.Load() != 0 {
		r.failures.Store(0)
	}
	if r.gateway.Load() != 0 {
		r.gateway.Store(0)
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

// consider ejects a backend for the row of failures that it has, if it is still fit and there is room.
func (e *Ejector) consider(r *record, res lb.Result, now time.Time) {
	if !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	id := res.Backend.ID()
	b := e.cfg.Pool.Snapshot().Find(id)
	if b == nil || b.Facts()&gone != 0 || e.records.Load() == nil {
		return
	}
	if r.out { // somebody else has let it back
		r.backLocked(now)
		r.fell(res.Status)
	}
	n, kind := r.failures.Load(), "failed"
	if !reached(n, e.cfg.Failures) {
		if n, kind = r.gateway.Load(), "got no answer or 502, 503 or 504"; !reached(n, e.cfg.GatewayFailures) {
			return
		}
	}
	e.ejectLocked(b, r, now, fmt.Sprintf("%d requests in a row %s, the last for %q", n, kind, res.Reason))
}

// gone are the facts that leave nothing to eject. One that is suspect may be worse than that.
const gone = lb.Down | lb.Ejected | lb.Draining

// ejectLocked ejects a backend that is not gone, if there is room.
func (e *Ejector) ejectLocked(b *lb.Backend, r *record, now time.Time, cause string) {
	if !e.roomLocked(e.cfg.Pool.Snapshot(), b.Facts().Fit()) {
		return
	}
	r.term = r.term.begin(now, e.cfg)
	r.out = true
	e.cfg.Pool.Mark(b.ID(), lb.Ejected, fmt.Sprintf("%s; out for %v", cause, r.term.turn.Sub(now).Round(time.Millisecond)))
}

// roomLocked reports whether one more of the backends in snap may be ejected, which is fit or not. That
// no fit one may is remembered, so that an outage of all does not cost each request a walk over the
// backends.
func (e *Ejector) roomLocked(snap *lb.Snapshot, isFit bool) bool {
	left := 0 // fit ones that there have to be before
	if isFit {
		left = 1
		if snap == e.full {
			return false
		}
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
	if fit > left && ejected < most {
		return true
	}
	if isFit {
		e.full = snap
	}
	return false
}

// backLocked notes that the backend is no longer ejected.
func (r *record) backLocked(now time.Time) {
	r.term = r.term.end(now)
	r.failures.Store(0)
	r.gateway.Store(0)
	r.window = newWindow(r.counts())
	r.out = false
}
