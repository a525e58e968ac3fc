package lb

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// Hedge has a second backend asked when the first takes long: whoever answers first wins, and the
// other is given up, which is held against nobody (Dean and Barroso, The Tail at Scale, CACM 2013).
// Hedged are idempotent requests without a body, or with a short one. Each hedge spends of the
// budget that Config.Retries describes, so that at most a fifth of all requests is sent twice. The
// zero value is off.
type Hedge struct {
	// After is how long the first backend has to begin its answer. Zero means that Quantile says.
	After time.Duration
	// Quantile is the share, above 0 and below 1, of the backend's recent answers that came faster
	// than what is waited for: with 0.95 one request in twenty is hedged. While fewer than a hundred
	// answers are known, After counts, and if that is zero, too, nothing is hedged. If both are set,
	// After is the least. Zero means that After says.
	Quantile float64
}

func (h Hedge) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lb: Config.Hedge."+format, args...))
		}
	}
	add(h.After < 0, "After %v is negative; zero is off", h.After)
	add(!(h.Quantile >= 0 && h.Quantile < 1), "Quantile %v is not between 0 and 1; try 0.95", h.Quantile)
	return errs
}

// on reports whether anything is hedged.
func (h Hedge) on() bool { return h.After > 0 || h.Quantile > 0 }

// delay is how long a backend's answer is waited for; zero: for ever.
func (h Hedge) delay(l *live.Load, now time.Time) time.Duration {
	if h.Quantile == 0 {
		return h.After
	}
	d, ok := l.Quantile(now, h.Quantile)
	if !ok {
		return h.After
	}
	return max(d, h.After)
}

// errHedged is what ends the try that another was faster than.
var errHedged = errors.New("lb: another backend was faster")

// race makes a try, and a second one beside it if that is hedged. It returns the one that answered,
// or the last that failed.
func (t *trip) race(by trier, a *attempt) (*attempt, error) {
	delay := t.hedgeDelay(a)
	if delay == 0 {
		if a.endless = endless(t.req); a.endless || t.b.cfg.Retry.TryTimeout > 0 {
			a.bound(by.context())
		}
		err := by.try(a)
		t.failed(a, err)
		return a, err
	}
	t.foreign = true // whoever loses may end after us
	r := &race{t: t, by: by, results: make(chan *attempt, 2)}
	return r.run(a, delay)
}

// hedgeDelay is how long the first try has until the second begins; zero: there will be none.
func (t *trip) hedgeDelay(a *attempt) time.Duration {
	if h := t.b.cfg.Hedge; h.on() && t.upload == nil && t.idempotent() {
		return h.delay(a.backend.load, a.start)
	}
	return 0
}

// failed notes what a try that failed says of its backend.
func (t *trip) failed(a *attempt, err error) {
	if failed, ok := errors.AsType[*AttemptError](err); ok && failed.Reason == "dial" && !isLocal(err) {
		t.unreachable = a.backend.load
	}
}

// race is two tries side by side.
type race struct {
	t       *trip
	by      trier
	tries   []*attempt
	results chan *attempt // never full
	winner  *attempt

	mu   sync.Mutex
	over bool // nobody wants results any more
}

// run waits for the first answer.
func (r *race) run(first *attempt, delay time.Duration) (*attempt, error) {
	r.start(first)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	defer r.end()
	for left := 1; ; {
		select {
		case a := <-r.results:
			left--
			if a.panicked != nil {
				panic(a.panicked)
			}
			if r.t.failed(a, a.err); a.err == nil || left == 0 {
				r.winner = a
				return a, a.err
			}
		case <-timer.C:
			if rest := delay - first.ran(); rest > 0 {
				timer.Reset(rest) // it was us who were late, and its answer may be there
				continue
			}
			if second := r.second(first); second != nil {
				r.start(second)
				left++
			}
		}
	}
}

// ran is the time since the attempt's start that this program ran.
func (a *attempt) ran() time.Duration {
	now := time.Now()
	return now.Sub(a.start) - a.trip.b.cfg.Pauses.since(a.lost, now)
}

// second takes a place on another backend, if there is one to be had.
func (r *race) second(first *attempt) *attempt {
	t := r.t
	if t.req.Context().Err() != nil || !t.inTime(first.backend) {
		return nil
	}
	t.tried(first.backend) // again, if it fails: that does no harm
	if !t.b.budget.Spend() {
		return nil
	}
	a, err := t.next(1)
	if err != nil {
		return nil
	}
	t.tried(a.backend)
	a.result.Hedge = true
	return a
}

// start makes a try on a goroutine of its own.
func (r *race) start(a *attempt) {
	a.side, a.endless = new(side), endless(r.t.req)
	a.bound(r.by.context())
	r.tries = append(r.tries, a)
	r.t.b.active.Add(1)
	go func() {
		defer r.t.b.active.Add(-1)
		defer r.settle(a)
		defer func() { a.panicked = recover() }()
		a.err = r.by.try(a)
	}()
}

// settle hands the try over, or drops what nobody waits for.
func (r *race) settle(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		r.results <- a
		return
	}
	a.lose()
}

// end gives up all but the winner.
func (r *race) end() {
	for _, a := range r.tries {
		if a != r.winner {
			a.cancel(errHedged)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for len(r.results) > 0 {
		(<-r.results).lose()
	}
}

// lose gives up an answer that came too late. It is held against nobody.
func (a *attempt) lose() {
	if a.err == nil && a.panicked == nil {
		a.giveUp(&flaw{outcome: Neutral, reason: "hedged", err: errHedged})
	}
}

// drop gives up an answer that is judged by its head. Nil has none.
func (a *attempt) drop() {
	if a != nil {
		a.giveUp(nil)
	}
}

func (a *attempt) giveUp(f *flaw) {
	if a.x != nil {
		a.x.Close()
	}
	if a.resp != nil {
		a.resp.Body.Close()
	}
	a.judge(f)
	a.leave()
}
