package health

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/go-loadbalancer/lb"
)

// give gives an ejector n results with a status; 0 is a failure without an answer, 7 one in the middle
// of an answer.
func give(e *Ejector, p lb.Pool, id string, status, n int) {
	res := lb.Result{Backend: p.Snapshot().Find(id), Status: status, Outcome: lb.Success, Reason: "status"}
	switch {
	case status == 7:
		res.Status, res.Outcome = 200, lb.Failure
	case status == 0 || status >= 502 && status <= 504 || status == 599: // 599 is what a program's own Classify calls a failure
		res.Outcome = lb.Failure
	}
	for range n {
		e.Observer().Attempt(res)
	}
}

// Both rows count what belongs to them, and each ends with what does not.
func TestRowsOfFailures(t *testing.T) {
	for _, tt := range []struct {
		name     string
		cfg      EjectorConfig
		statuses []int // each comes twice
		want     string
		cause    string
	}{
		{"failures", EjectorConfig{Failures: 6}, []int{0, 599, 503}, "e", `6 requests in a row failed, the last for "status"; out for 30s`},
		{"a success between", EjectorConfig{Failures: 6}, []int{0, 200, 0, 0}, ".", ""},
		{"a plain 500 between", EjectorConfig{Failures: 6}, []int{0, 500, 0, 0}, ".", ""},
		{"plain 500s", EjectorConfig{Failures: 6, GatewayFailures: 6}, []int{500, 500, 500, 501, 505}, ".", ""},
		{"gateway", EjectorConfig{Failures: 99, GatewayFailures: 6}, []int{0, 502, 504}, "e", `6 requests in a row got no answer or 502, 503 or 504, the last for "status"; out for 30s`},
		{"gateway, a success between", EjectorConfig{Failures: 99, GatewayFailures: 6}, []int{0, 503, 200, 503, 0}, ".", ""},
		{"gateway off", EjectorConfig{Failures: 99}, []int{0, 502, 504, 503, 0}, ".", ""},
		{"another failure between", EjectorConfig{Failures: 99, GatewayFailures: 6}, []int{0, 599, 502, 503}, ".", ""},
		{"one that broke off between", EjectorConfig{Failures: 99, GatewayFailures: 6}, []int{0, 7, 502, 503}, ".", ""},
		{"failures off", EjectorConfig{Failures: -1, GatewayFailures: 6}, []int{599, 599, 7, 7, 599}, ".", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := newPool(t, 4)
			tt.cfg.Pool, tt.cfg.Jitter = pool, -1
			ejector := lb.Must(NewEjector(tt.cfg))
			defer run(t, ejector)()
			synctest.Wait()
			for _, status := range tt.statuses {
				give(ejector, pool, "b01", status, 2)
			}
			if b := pool.Snapshot().Find("b01"); letter(b.Facts()) != tt.want || b.Cause() != tt.cause {
				t.Errorf("%s: %v, %q", tt.name, b.Facts(), b.Cause())
			}
		})
	}
}

// The rates slide: what was longer than Interval ago does not count, and an ejected backend that comes
// back begins anew.
func TestRatesSlide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 5)
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool, Jitter: -1}))
		defer run(t, ejector)()
		synctest.Wait()
		second := func(bad int) {
			for i := range 5 {
				id := fmt.Sprintf("b%02d", i)
				give(ejector, pool, id, 200, 20-bad*(i/4))
				give(ejector, pool, id, 500, bad*(i/4))
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		for range 30 { // never five within ten seconds
			second(1)
			second(0)
			second(0)
		}
		if got := letters(pool); got != "....." {
			t.Fatalf("three of two hundred: %s: %s", got, pool.Snapshot().At(4).Cause())
		}
		for range 10 {
			second(1)
		}
		if b := pool.Snapshot().At(4); letters(pool) != "....e" || !strings.HasPrefix(b.Cause(), "success rate 9") {
			t.Fatalf("%s: %s", letters(pool), b.Cause())
		}
		time.Sleep(30 * time.Second)
		for i := range 20 {
			if second(0); letters(pool) != "....." {
				t.Fatalf("%d s after it came back: %s: %s", i+1, letters(pool), pool.Snapshot().At(4).Cause())
			}
		}
	})
}

// One that is suspect can be ejected, too, as long as a fit one is left.
func TestEjectsSuspects(t *testing.T) {
	const s, d, e = lb.Suspect, lb.Down, lb.Ejected
	for _, tt := range []struct{ before, after [3]lb.Facts }{
		{[3]lb.Facts{s, 0, 0}, [3]lb.Facts{s | e, 0, 0}},
		{[3]lb.Facts{s, 0, d}, [3]lb.Facts{s | e, 0, d}},
		{[3]lb.Facts{s, s, 0}, [3]lb.Facts{s | e, s, 0}},
		{[3]lb.Facts{s, s, d}, [3]lb.Facts{s, s, d}},
		{[3]lb.Facts{s, 0, e}, [3]lb.Facts{s, 0, e}},
		{[3]lb.Facts{0, s, s}, [3]lb.Facts{0, s, s}},
		{[3]lb.Facts{0, s, 0}, [3]lb.Facts{e, s, 0}},
		{[3]lb.Facts{d | s, 0, 0}, [3]lb.Facts{d | s, 0, 0}},
	} {
		synctest.Test(t, func(t *testing.T) {
			pool := newPool(t, 3)
			for i, f := range tt.before {
				pool.Mark(pool.Snapshot().At(i).ID(), f, "test")
			}
			ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool}))
			stop := run(t, ejector)
			synctest.Wait()
			give(ejector, pool, "b00", 0, 9)
			var after [3]lb.Facts
			for i := range after {
				after[i] = pool.Snapshot().At(i).Facts()
			}
			if after != tt.after {
				t.Errorf("of %v became %v, want %v", tt.before, after, tt.after)
			}
			stop()
		})
	}
}

// mixed has each backend give twenty results a second, of which so many are bad, for some seconds.
func mixed(e *Ejector, p lb.Pool, seconds int, bad ...int) {
	for range seconds {
		for i, n := range bad {
			give(e, p, fmt.Sprintf("b%02d", i), 200, 20-n)
			give(e, p, fmt.Sprintf("b%02d", i), 500, n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// Who is compared, and who goes first.
func TestRatesAreThoseOfTheOthers(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  EjectorConfig
		n    int
		do   func(*Ejector, *lb.DynamicPool)
		want string
	}{
		"the ejected one no longer counts": {EjectorConfig{}, 6, func(e *Ejector, p *lb.DynamicPool) {
			mixed(e, p, 3, 0, 0, 0, 0, 0, 0)
			mixed(e, p, 4, 0, 0, 0, 0, 0, 20)
			mixed(e, p, 5, 0, 0, 0, 0, 1)
		}, "....ee"},
		"one that is down is left alone": {EjectorConfig{}, 6, func(e *Ejector, p *lb.DynamicPool) {
			p.Mark("b05", lb.Down, "test")
			mixed(e, p, 10, 0, 0, 0, 0, 0, 20)
		}, ".....d"},
		"the worst goes first": {EjectorConfig{MaxShare: 0.17}, 6, func(e *Ejector, p *lb.DynamicPool) {
			for id, bad := range map[string]int{"b00": 40, "b01": 0, "b02": 0, "b03": 0, "b04": 50, "b05": 0} {
				give(e, p, id, 200, 100-bad)
				give(e, p, id, 500, bad)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}, "....e."},
		"whoever is let back begins anew": {EjectorConfig{}, 5, func(e *Ejector, p *lb.DynamicPool) {
			mixed(e, p, 8, 0, 0, 0, 0, 4)
			if got := letters(p); got != "....e" {
				t.Errorf("before: %s", got)
			}
			p.Clear("b04", lb.Ejected, "test")
			mixed(e, p, 10, 0, 0, 0, 0, 0)
		}, "....."},
		"by another's hand, a row begins anew": {EjectorConfig{Failures: 99, GatewayFailures: 5}, 3, func(e *Ejector, p *lb.DynamicPool) {
			for range 3 {
				give(e, p, "b01", 503, 5)
				p.Clear("b01", lb.Ejected, "test")
			}
			give(e, p, "b01", 503, 4)
		}, "..."},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := newPool(t, tt.n)
				tt.cfg.Pool = pool
				ejector := lb.Must(NewEjector(tt.cfg))
				stop := run(t, ejector)
				synctest.Wait()
				if tt.do(ejector, pool); letters(pool) != tt.want {
					t.Errorf("%s, want %s", letters(pool), tt.want)
				}
				stop()
			})
		})
	}
}

// Whatever results come from 64 goroutines in whatever order, and whatever others make of the backends: no
// more than the share is ejected, the last fit one never is, and all come back.
func TestEjectedShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, ejectedShare) })
}

func ejectedShare(t *rapid.T) {
	n := rapid.IntRange(1, 12).Draw(t, "backends")
	share := rapid.OneOf(rapid.SampledFrom([]float64{0, 0.29, 0.5, 1}), rapid.Float64Range(0, 1)).Draw(t, "MaxShare")
	pool := &capped{DynamicPool: lb.Must(lb.NewPool(specs(n)...)), t: t, share: cmp.Or(share, 0.5)}
	ejector := lb.Must(NewEjector(EjectorConfig{
		Pool: pool, MaxShare: share, Failures: 2, GatewayFailures: 2, Requests: 10, Time: 2 * time.Second, Interval: time.Second,
	}))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = ejector.Run(ctx) })
	defer running.Wait()
	defer cancel()
	synctest.Wait()
	id := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("b%02d", rapid.IntRange(0, n-1).Draw(t, "backend")) })
	type batch struct {
		id        string
		status, n int
	}
	batches := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) batch {
		status := rapid.SampledFrom([]int{0, 7, 200, 200, 500, 503, 599}).Draw(t, "status")
		return batch{id.Draw(t, "id"), status, rapid.IntRange(1, 60).Draw(t, "n")}
	}), 1, 64)
	fact := rapid.SampledFrom([]lb.Facts{lb.Down, lb.Draining, lb.Suspect})
	t.Repeat(map[string]func(*rapid.T){
		"results": func(t *rapid.T) {
			var all sync.WaitGroup
			for _, b := range batches.Draw(t, "batches") {
				all.Go(func() { give(ejector, pool, b.id, b.status, b.n) })
			}
			all.Wait()
		},
		"others eject":    func(t *rapid.T) { pool.Clear(id.Draw(t, "id"), lb.Ejected, "test") },
		"others mark":     func(t *rapid.T) { pool.DynamicPool.Mark(id.Draw(t, "id"), fact.Draw(t, "fact"), "test") },
		"others clear":    func(t *rapid.T) { pool.Clear(id.Draw(t, "id"), fact.Draw(t, "fact"), "test") },
		"time goes by":    func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond) },
		"a slot goes by":  func(*rapid.T) { time.Sleep(100 * time.Millisecond) },
		"everybody waits": func(*rapid.T) { synctest.Wait() },
	})
	time.Sleep(300 * time.Second)
	if got := letters(pool); strings.Contains(got, "e") {
		t.Errorf("some never came back: %s", got)
	}
}

// capped is a pool that checks the cap whenever an Ejector marks a backend, one at a time.
type capped struct {
	*lb.DynamicPool
	t     *rapid.T
	share float64
}

func (c *capped) Mark(id string, f lb.Facts, cause string) bool {
	news := c.DynamicPool.Mark(id, f, cause)
	stay, out, fit := 0, 0, 0
	for i, s := 0, c.Snapshot(); i < s.Len(); i++ {
		switch f := s.At(i).Facts(); {
		case f.Has(lb.Draining):
			continue
		case f.Has(lb.Ejected):
			out++
		case f.Fit():
			fit++
		}
		stay++
	}
	if most := max(1, int(c.share*float64(stay)+1e-9)); out > most || fit == 0 {
		c.t.Errorf("%d of %d are ejected and %d are fit, the most is %d", out, stay, fit, most)
	}
	return news
}

// Drawn times are shorter by up to the share, and spread.
func TestJitter(t *testing.T) {
	cfg := EjectorConfig{Jitter: 0.4, Time: 10 * time.Second, MaxTime: 15 * time.Second}.withDefaults()
	now := time.Unix(1e9, 0)
	shortest, longest := time.Hour, time.Duration(0)
	for range 2000 {
		d := term{}.begin(now, cfg).turn.Sub(now)
		shortest, longest = min(shortest, d), max(longest, d)
	}
	if shortest < 6*time.Second || shortest > 6200*time.Millisecond || longest > 10*time.Second || longest < 9800*time.Millisecond {
		t.Errorf("from %v to %v, want about 6s to 10s", shortest, longest)
	}
	if d := (term{times: 5, turn: now}).begin(now, cfg).turn.Sub(now); d > cfg.MaxTime {
		t.Errorf("%v is above MaxTime", d)
	}
}

// A clock that jumps makes no ejection longer than MaxTime, nor one that has no end.
func TestTermsWhenClocksJump(t *testing.T) {
	cfg := EjectorConfig{}.withDefaults()
	rapid.Check(t, func(t *rapid.T) {
		now, x := time.Unix(1e9, 0), term{}
		jump := rapid.Int64Range(-int64(366*24*time.Hour), int64(366*24*time.Hour))
		t.Repeat(map[string]func(*rapid.T){
			"out and back": func(t *rapid.T) {
				now = now.Add(time.Duration(jump.Draw(t, "jump")))
				before := x.times
				x = x.begin(now, cfg)
				if d := x.turn.Sub(now); d <= 0 || d > cfg.MaxTime || x.times < 1 || x.times > before+1 {
					t.Fatalf("out for %v, %d times after %d", d, x.times, before)
				}
				x = x.end(now.Add(time.Duration(jump.Draw(t, "back"))))
			},
		})
	})
}
