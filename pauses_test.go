package lb_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// script is a program's life on virtual time: when it looked at the clock, and when it was stopped.
type script struct {
	pauses  *lb.Pauses
	now     time.Time
	stopped []time.Duration // in pairs, since the beginning
	begin   time.Time
	due     time.Time
}

// run goes on to a time, looking when it is due.
func (s *script) run(until time.Time) {
	for ; s.due.Before(until); s.due = s.now.Add(lb.TickEvery) {
		s.now = s.due
		s.pauses.Look(s.now)
	}
	s.now = until
}

// stop lets a time go by in which nothing is done.
func (s *script) stop(d time.Duration) {
	from := s.now.Sub(s.begin)
	s.stopped = append(s.stopped, from, from+d)
	s.now = s.now.Add(d)
	if s.due.Before(s.now) {
		s.due = s.now // it is looked at as soon as can be, but perhaps after something else
	}
}

// lost is how much of a span it was stopped.
func (s *script) lost(from, to time.Time) (sum time.Duration) {
	a, b := from.Sub(s.begin), to.Sub(s.begin)
	for i := 0; i < len(s.stopped); i += 2 {
		sum += max(0, min(b, s.stopped[i+1])-max(a, s.stopped[i]))
	}
	return sum
}

// What is measured of any span is what the program was stopped, to within one interval for each
// pause, never less than nothing, and nothing when it ran: also before the late look has been
// noted, and across the ends of both counters.
func TestPausesAreMeasured(t *testing.T) {
	const wrap = 1 << 32 * 65536 * time.Nanosecond
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		now := time.Now()
		s := &script{pauses: new(lb.Pauses), now: now, begin: now, due: now.Add(lb.TickEvery)}
		s.pauses.StartAt(now, wrap-time.Second, wrap-300*time.Millisecond)
		type note struct {
			at   time.Time
			lost uint32
			n    int // pauses before
		}
		var notes []note
		for range 100 {
			notes = append(notes, note{s.now, s.pauses.Noted(s.now), len(s.stopped) / 2})
			s.run(s.now.Add(time.Duration(r.Int64N(int64(50 * time.Millisecond)))))
			if r.IntN(3) == 0 {
				s.stop(time.Duration(10+r.Int64N(300)) * time.Millisecond)
			}
			for _, n := range notes {
				got, want := s.pauses.Between(n.lost, s.now), s.lost(n.at, s.now)
				off := time.Duration(len(s.stopped)/2-n.n) * (lb.TickEvery + time.Millisecond)
				if got < want-off || got > want+lb.TickEvery+time.Millisecond || want == 0 && got > lb.TickEvery {
					t.Fatalf("seed %d: %v of %v were measured, want %v", seed, got, s.now.Sub(n.at), want)
				}
			}
		}
	}
}

// Without Run, and after it, nothing is measured, and what was stays.
func TestPausesThatNobodyMeasures(t *testing.T) {
	var none *lb.Pauses
	if none.Lost() != 0 || new(lb.Pauses).Lost() != 0 {
		t.Error("something was lost before anybody measured")
	}
	synctest.Test(t, func(t *testing.T) {
		p := new(lb.Pauses)
		p.Start(time.Now())
		time.Sleep(time.Second)
		lost := p.Lost()
		p.Look(time.Now())
		p.Stop()
		time.Sleep(time.Hour)
		if lost < 990*time.Millisecond || lost > time.Second || p.Lost() != lost {
			t.Errorf("lost %v, and an hour later %v", lost, p.Lost())
		}
		p.Start(time.Now())
		if p.Lost() != lost {
			t.Errorf("lost %v, and %v when it was begun again", lost, p.Lost())
		}
	})
}

// Run ends with its context, runs once at a time, and finds no pause where there is none.
func TestPausesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(lb.Pauses)
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- p.Run(ctx) }()
			time.Sleep(time.Minute)
			if err := p.Run(ctx); err == nil {
				t.Error("it ran twice at a time")
			}
			cancel()
			if err := <-ended; err != nil || p.Lost() != 0 {
				t.Errorf("ended with %v, and lost %v", err, p.Lost())
			}
		}
	})
}

// stoppable is a program that is stopped now and then: answers that come meanwhile are seen at its
// end, in any order with its look at the clock.
type stoppable struct {
	mu    sync.Mutex
	until time.Time
}

// awake returns when the program runs again.
func (s *stoppable) awake() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.until
}

// stop stops the program for a time.
func (s *stoppable) stop(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Now().Add(d)
}

// live looks at the clock until ctx is done, whenever the program runs.
func (s *stoppable) live(ctx context.Context, p *lb.Pauses) {
	p.Start(time.Now())
	for ctx.Err() == nil {
		time.Sleep(lb.TickEvery)
		time.Sleep(time.Until(s.awake()))
		p.Look(time.Now())
	}
}

// answer takes 20 ms, and as long as the program is stopped.
func (s *stoppable) answer(r *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond)
	time.Sleep(time.Until(s.awake()))
	if context.Cause(r.Context()) != nil {
		return nil, context.Cause(r.Context())
	}
	return ok(r)
}

// stopped runs requests, one every 7 ms for ten seconds, through a balancer that is stopped for
// 200 ms in each of them.
func stopped(t *testing.T, cfg lb.Config) (results []lb.Result) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, seen := new(stoppable), new(ledger)
	cfg.Observers = append(cfg.Observers, seen.observer())
	b, _ := balance(t, s.answer, cfg)
	if cfg.Pauses != nil {
		go s.live(ctx, cfg.Pauses)
	}
	var wg sync.WaitGroup
	for i := range 1400 {
		if i%140 == 70 {
			s.stop(200 * time.Millisecond)
		}
		time.Sleep(7 * time.Millisecond)
		time.Sleep(time.Until(s.awake()))
		wg.Go(func() { get(b) })
	}
	wg.Wait()
	cancel()
	time.Sleep(time.Second)
	mustBeIdle(t, b)
	return seen.results
}

// What the program slept is no backend's latency.
func TestAPauseIsNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worst := func(results []lb.Result) (worst time.Duration) {
			for _, r := range results {
				if r.Latency < 10*time.Millisecond {
					t.Errorf("an attempt took %v", r.Latency)
				}
				worst = max(worst, r.Latency)
			}
			return worst
		}
		if got := worst(stopped(t, lb.Config{Pauses: new(lb.Pauses)})); got > 26*time.Millisecond {
			t.Errorf("an attempt took %v, want 20ms", got)
		}
		if got := worst(stopped(t, lb.Config{})); got < 200*time.Millisecond {
			t.Errorf("unmeasured, no attempt took longer than %v", got)
		}
	})
}

// A timeout that ran out while the program was stopped proves nothing; any other does.
func TestAPauseIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := func(cfg lb.Config) (failures, excused int) {
			cfg.Retry.TryTimeout = 100 * time.Millisecond
			for _, r := range stopped(t, cfg) {
				switch {
				case r.Outcome == lb.Failure:
					failures++
				case r.Err != nil:
					excused++
				}
			}
			return failures, excused
		}
		if failures, excused := count(lb.Config{Pauses: new(lb.Pauses)}); failures > 0 || excused == 0 {
			t.Errorf("%d failures and %d excused ones, want none and some", failures, excused)
		}
		if failures, excused := count(lb.Config{}); failures == 0 || excused > 0 {
			t.Errorf("unmeasured, %d failures and %d excused ones, want some and none", failures, excused)
		}
		slow := func(r *http.Request) (*http.Response, error) { return within(time.Second, r) }
		p, seen := new(lb.Pauses), new(ledger)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go new(stoppable).live(ctx, p)
		b, _ := balance(t, slow, lb.Config{Pauses: p, Observers: []lb.Observer{seen.observer()}, Retry: lb.Retry{TryTimeout: 100 * time.Millisecond}})
		get(b)
		cancel()
		time.Sleep(time.Second)
		for _, r := range seen.results {
			if r.Outcome != lb.Failure || r.Reason != "timeout" {
				t.Errorf("a backend that took too long while the program ran: %v %q", r.Outcome, r.Reason)
			}
		}
	})
}

// timedGate is a breaker that wants to know how long answers took.
type timedGate struct {
	gate
	last atomic.Int64
}

func (g *timedGate) DoneIn(p lb.Permit, o lb.Outcome, took time.Duration) {
	g.last.Store(int64(took))
	g.Done(p, o)
}

// A breaker that asks for it is told how long each attempt took, in place of Done.
func TestABreakerMayKnowTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(timedGate)
		fail := errors.New("no")
		send := func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/bad" {
				time.Sleep(time.Second)
				return nil, fail
			}
			return within(time.Minute, r)
		}
		b, _ := balance(t, send, lb.Config{Retries: -1, Breakers: func(*lb.Backend) lb.Breaker { return g }})
		get(b)
		if took := time.Duration(g.last.Load()); took != time.Minute || g.done.Load() != 1 || g.bad.Load() != 0 {
			t.Errorf("it was told of %v, %d times, %d of them bad", took, g.done.Load(), g.bad.Load())
		}
		r, _ := http.NewRequest("POST", "http://shop/bad", nil)
		serve(b, r)
		if took := time.Duration(g.last.Load()); took != time.Second || g.done.Load() != 2 || g.bad.Load() != 1 {
			t.Errorf("it was told of %v, %d times, %d of them bad", took, g.done.Load(), g.bad.Load())
		}
	})
}
