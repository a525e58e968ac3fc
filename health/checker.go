package health

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Pool is what a Checker and an Ejector need of a pool; *lb.DynamicPool has it. Mark and Clear
// must be quick: an Ejector calls Mark on the request path.
type Pool interface {
	lb.Pool
	// Mark records facts about a backend and reports whether that is news.
	Mark(id string, facts lb.Facts, cause string) bool
	// Clear takes facts about a backend back and reports whether that is news.
	Clear(id string, facts lb.Facts, cause string) bool
}

// lookEvery is how long a backend that has come or gone may stay unnoticed.
const lookEvery = time.Second

// Config is what and how a Checker checks. Pool and Probe are required.
type Config struct {
	Pool  Pool  // whose backends are checked
	Probe Probe // the question; see HTTP and TCP

	// Interval is the time from the beginning of one check of a backend to that of the next.
	// Zero means 10s.
	Interval time.Duration
	// Timeout bounds one check. Zero means 2s.
	Timeout time.Duration
	// Rise is how many checks in a row a backend that is down has to pass to come back. Zero
	// means 2.
	Rise int
	// Fall is how many checks in a row a backend has to fail to go down. Zero means 3.
	Fall int
	// Jitter is by which share of the interval, 0 to 1, each wait is drawn longer or shorter, so
	// that no two backends stay in step. Zero means 0.1. Negative means no chance at all: all
	// backends that are met together are checked together.
	Jitter float64
	// StartDown marks each backend lb.Down when the Checker first meets it, until it has passed
	// Rise checks. False means that backends start fit. Those in the pool when Run begins are
	// marked before anything else, later ones within a second.
	StartDown bool
	// KeepEjected leaves ejections to end by themselves. False means that passed checks end them: an
	// ejection must not outlive its cause. It is for checks that pass whatever requests meet.
	KeepEjected bool
	// Pauses is told of by lb.Pauses: a check has as much longer as this program did not run. Nil
	// means that nobody knows.
	Pauses Pauses
}

// Pauses is what a Checker and a Suspector need to know of when this program did not run; *lb.Pauses has
// it.
type Pauses interface {
	// Lost returns how long all pauses took until now.
	Lost() time.Duration
}

// lost asks p, if there is one.
func lost(p Pauses) time.Duration {
	if p == nil {
		return 0
	}
	return p.Lost()
}

// Checker sends probes to every backend of a pool while it runs, and keeps the fact lb.Down up
// to date. That fact is the Checker's: it takes it back from a backend that passes, whoever has
// marked it.
type Checker struct {
	cfg     Config
	running atomic.Bool

	mu      sync.Mutex
	watches map[string]*watch // of the backends met, by ID; written by Run alone
}

// watch is the Checker's attention to one backend.
type watch struct {
	id      string
	cancel  context.CancelFunc // belongs to Run, which calls it when the backend leaves the pool
	history history            // belongs to the watch's goroutine
	report  Report             // guarded by Checker.mu
}

// New returns a Checker that has yet to Run, or an error that names every field that is wrong.
func New(cfg Config) (*Checker, error) {
	if err := errors.Join(cfg.faults()...); err != nil {
		return nil, err
	}
	cfg.Interval = cmp.Or(cfg.Interval, 10*time.Second)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Second)
	cfg.Rise = cmp.Or(cfg.Rise, 2)
	cfg.Fall = cmp.Or(cfg.Fall, 3)
	cfg.Jitter = max(0, cmp.Or(cfg.Jitter, 0.1))
	return &Checker{cfg: cfg}, nil
}

// faults lists what is wrong with a Config, each with its cure.
func (cfg Config) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("health: Config."+format, args...))
		}
	}
	add(cfg.Pool == nil, "Pool is nil; make one with lb.NewPool")
	add(cfg.Probe == nil, "Probe is nil; make one with health.HTTP, or take health.TCP")
	add(cfg.Interval < 0, "Interval %v is negative; zero means 10s", cfg.Interval)
	add(cfg.Timeout < 0, "Timeout %v is negative; zero means 2s", cfg.Timeout)
	add(cfg.Rise < 0, "Rise %d is negative; zero means 2", cfg.Rise)
	add(cfg.Fall < 0, "Fall %d is negative; zero means 3", cfg.Fall)
	add(cfg.Jitter > 1 || cfg.Jitter != cfg.Jitter, "Jitter %v is not at most 1; it is a share of the interval", cfg.Jitter)
	return errs
}

// Run checks until ctx is done, each backend for the first time at once, and returns when the
// checks that were going on have ended. It returns an error only if it is running already.
func (c *Checker) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("health: the Checker is running already")
	}
	defer c.running.Store(false)
	c.forget()
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(min(lookEvery, c.cfg.Interval))
	defer tick.Stop()
	for {
		for _, w := range c.look() {
			watching, cancel := context.WithCancel(ctx)
			w.cancel = cancel
			wg.Go(func() {
				defer cancel()
				c.follow(watching, w)
			})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// forget drops what an earlier Run has seen.
func (c *Checker) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches = make(map[string]*watch)
}

// look ends the watches of backends that have left the pool, and returns new ones for those that
// have come.
func (c *Checker) look() (met []*watch) {
	snap := c.cfg.Pool.Snapshot()
	c.mu.Lock()
	for id, w := range c.watches {
		if snap.Find(id) == nil {
			w.cancel()
			delete(c.watches, id)
		}
	}
	for i := range snap.Len() {
		if id := snap.At(i).ID(); c.watches[id] == nil {
			w := &watch{id: id, report: Report{Backend: id}}
			c.watches[id] = w
			met = append(met, w)
		}
	}
	c.mu.Unlock()
	for _, w := range met {
		if c.cfg.StartDown {
			c.cfg.Pool.Mark(w.id, lb.Down, "not checked yet")
		}
	}
	return met
}

// follow checks one backend until ctx is done.
func (c *Checker) follow(ctx context.Context, w *watch) {
	timer := time.NewTimer(c.cfg.Interval)
	defer timer.Stop()
	for first := true; ctx.Err() == nil; first = false {
		next := time.Now().Add(c.cfg.gap(first, rand.Float64()))
		if b := c.cfg.Pool.Snapshot().Find(w.id); b != nil {
			c.check(ctx, w, b)
		}
		wait := time.Until(next)
		if wait <= 0 {
			continue // the check took longer than the interval
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
}

// gap returns the time from one check to the next, for a random u from 0 to 1. The first is
// anything up to an interval, so that backends that were met together get phases of their own.
func (cfg Config) gap(first bool, u float64) time.Duration {
	if first && cfg.Jitter > 0 {
		return time.Duration(u * float64(cfg.Interval))
	}
	return cfg.Interval + time.Duration((2*u-1)*cfg.Jitter*float64(cfg.Interval))
}

// check asks a backend once, and tells the pool what follows from it.
func (c *Checker) check(ctx context.Context, w *watch, b *lb.Backend) {
	start, before := time.Now(), lost(c.cfg.Pauses)
	err := c.ask(ctx, b)
	if ctx.Err() != nil {
		return // it was cut short
	}
	now := time.Now()
	var mark, clear lb.Facts
	if !local(err) && !(isLate(err) && lost(c.cfg.Pauses) != before) {
		w.history, mark, clear = w.history.add(err == nil, b.Facts(), c.cfg)
	}
	c.mu.Lock()
	w.report = Report{Backend: w.id, Checked: now, Latency: now.Sub(start), Err: err}
	w.report.Passed, w.report.Failed = w.history.passed, w.history.failed
	c.mu.Unlock()
	if mark != 0 {
		c.cfg.Pool.Mark(w.id, mark, "check failed: "+err.Error())
	}
	if clear != 0 {
		c.cfg.Pool.Clear(w.id, clear, fmt.Sprintf("passed %d checks in a row", w.history.passed))
	}
}

// ask puts the question within the time allowed. Its error is one short line.
func (c *Checker) ask(ctx context.Context, b *lb.Backend) error {
	ctx, cancel := c.bound(ctx)
	defer cancel()
	err := c.cfg.Probe(ctx, b)
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded): // and be it that it passed
		return fmt.Errorf("no answer within %v", c.cfg.Timeout)
	case err == nil:
		return nil
	}
	return brief{err}
}

// bound bounds a check by Timeout, in which this program runs.
func (c *Checker) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.cfg.Pauses == nil {
		return context.WithTimeout(ctx, c.cfg.Timeout)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	before, given := c.cfg.Pauses.Lost(), time.Duration(0)
	var mu sync.Mutex
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(c.cfg.Timeout, func() {
		mu.Lock()
		defer mu.Unlock()
		paused := c.cfg.Pauses.Lost() - before
		if paused <= given {
			cancel(context.DeadlineExceeded)
			return
		}
		timer.Reset(paused - given)
		given = paused
	})
	return ctx, func() {
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
		cancel(nil)
	}
}

// local reports whether this process is to blame: it has no file descriptor left.
func local(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Report is what the checks of one backend have shown.
type Report struct {
	Backend string        // its ID
	Checked time.Time     // when the last check ended; zero if none has yet
	Latency time.Duration // what that check took
	Err     error         // why it failed, on one short line; nil if it passed
	// Passed and Failed count checks in a row; one of them is zero. Those passed count anew when
	// the backend is found to be down or ejected. Checks that prove nothing do not count.
	Passed, Failed int
}

// Report returns how each backend was last seen, sorted by ID. It costs time in the number of
// backends. After Run has ended it stays as it was.
func (c *Checker) Report() []Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	reports := make([]Report, 0, len(c.watches))
	for _, w := range c.watches {
		reports = append(reports, w.report)
	}
	slices.SortFunc(reports, func(a, b Report) int { return strings.Compare(a.Backend, b.Backend) })
	return reports
}

// Latency returns how long the last check of a backend took, or zero if it was never checked. It
// locks for a moment.
func (c *Checker) Latency(backend string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w := c.watches[backend]; w != nil {
		return w.report.Latency
	}
	return 0
}
