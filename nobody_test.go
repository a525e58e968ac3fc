package lb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// nobody says by which ways there may be no backend to ask, and somebody again.
var nobody = map[string]struct {
	out, back func(*lb.DynamicPool, gates)
}{
	"none in the pool": {
		func(p *lb.DynamicPool, _ gates) { _ = p.Replace() },
		func(p *lb.DynamicPool, _ gates) { _ = p.Add(lb.URLs("http://a")...) },
	},
	"all are down": {
		func(p *lb.DynamicPool, _ gates) { markAll(p, lb.Down) },
		func(p *lb.DynamicPool, _ gates) { p.Clear("http://b", lb.Down, "test") },
	},
	"all are draining": {
		func(p *lb.DynamicPool, _ gates) { markAll(p, lb.Draining) },
		func(p *lb.DynamicPool, _ gates) { p.Clear("http://c", lb.Draining, "test") },
	},
	"all breakers are open": {
		func(p *lb.DynamicPool, g gates) { setAll(g, lb.Open) },
		func(p *lb.DynamicPool, g gates) { setAll(g, lb.Closed); p.Mark("http://a", lb.Suspect, "test") },
	},
	"no breaker has a trial left": {
		func(p *lb.DynamicPool, g gates) { setAll(g, lb.HalfOpen); denyAll(g, true) },
		func(p *lb.DynamicPool, g gates) { denyAll(g, false) },
	},
}

func markAll(p *lb.DynamicPool, f lb.Facts) {
	for _, id := range []string{"http://a", "http://b", "http://c"} {
		p.Mark(id, f, "test")
	}
}

func setAll(gs gates, s lb.BreakerState) {
	for _, g := range gs {
		g.state.Store(int32(s))
	}
}

func denyAll(gs gates, yes bool) {
	for _, g := range gs {
		g.deny.Store(yes)
	}
}

// With nobody to ask, a request gets 503 at once, with Retry-After; or it waits for as long as it may,
// and goes on as soon as there is somebody.
func TestWaitForBackend(t *testing.T) {
	for name, c := range nobody {
		for _, wait := range []time.Duration{0, time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				made := gates{}
				b, pool := balance(t, ok, lb.Config{
					PanicThreshold: -1, Breakers: made.make, WaitForBackend: wait, ReasonHeader: "Why",
				})
				b.Status()
				c.out(pool, made)
				if name == "all breakers are open" {
					pool.SetWeight("http://a", 2) // as somebody must notice
				}
				start, came := time.Now(), make(chan *http.Response, 1)
				go func() { came <- get(b) }()
				go func() { time.Sleep(2 * time.Second); c.back(pool, made) }()
				resp := <-came
				took := time.Since(start)
				switch {
				case wait == time.Minute:
					if resp.StatusCode != 200 || took < 2*time.Second || took > 2*time.Second+20*time.Millisecond {
						t.Errorf("%s: %s after %v, want to be served when one is back", name, resp.Status, took)
					}
				case resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || took != wait:
					t.Errorf("%s: %s after %v, want 503 after %v", name, resp.Status, took, wait)
				case resp.Header.Get("Why") != "no_backend" && wait > 0:
					t.Errorf("%s: %q", name, resp.Header.Get("Why"))
				}
				time.Sleep(3 * time.Second)
				mustBeIdle(t, b)
			})
		}
	}
}

// As many wait as may, the others are told at once, and all who waited go on when there is somebody: one
// after the other, and never more at a time than the backend takes.
func TestManyWaitForBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, may = 1200, 1000
		var now, peak, at0 atomic.Int64
		b, pool := narrow(t, 5, func(r *http.Request) (*http.Response, error) {
			peak.Store(max(peak.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(time.Millisecond)
			return ok(r)
		}, lb.Config{WaitForBackend: time.Minute})
		pool.Mark("http://a", lb.Draining, "test")
		start := time.Now()
		var all sync.WaitGroup
		codes := make(chan int, many)
		for range many {
			all.Go(func() {
				codes <- get(b).StatusCode
				if time.Since(start) == 0 {
					at0.Add(1)
				}
			})
		}
		synctest.Wait()
		if at0.Load() != many-may || b.Status().Queued != may {
			t.Errorf("%d were told at once, %d wait", at0.Load(), b.Status().Queued)
		}
		time.Sleep(time.Second)
		pool.Clear("http://a", lb.Draining, "test")
		all.Wait()
		close(codes)
		count := map[int]int{}
		for code := range codes {
			count[code]++
		}
		// Who finds the backend full then does not wait for a place: there is no Queue.
		if count[200] < 5 || count[200]+count[503] != many || peak.Load() > 5 {
			t.Errorf("%v, %d at a time", count, peak.Load())
		}
		mustBeIdle(t, b)
	})
	synctest.Test(t, func(t *testing.T) {
		b, pool := narrow(t, 5, after(time.Millisecond), lb.Config{WaitForBackend: time.Minute, Queue: lb.Queue{Length: 300, Timeout: time.Minute}})
		pool.Mark("http://a", lb.Draining, "test")
		start := time.Now()
		var good atomic.Int64
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() {
				if get(b).StatusCode == 200 {
					good.Add(1)
				}
			})
		}
		time.Sleep(time.Second)
		pool.Clear("http://a", lb.Draining, "test")
		all.Wait()
		if took := time.Since(start) - time.Second; good.Load() != 300 || took > 100*time.Millisecond {
			t.Errorf("%d of 300 served within %v", good.Load(), took)
		}
		mustBeIdle(t, b)
	})
}

// Whoever waits leaves with its client, also through RoundTrip.
func TestWaitingEndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, pool := balance(t, ok, lb.Config{WaitForBackend: time.Hour})
		_ = pool.Replace()
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		start := time.Now()
		_, err := b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil).WithContext(ctx))
		if !errors.Is(err, lb.ErrNoBackend) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		gone, hangUp := context.WithCancel(t.Context())
		go func() { time.Sleep(time.Second); hangUp() }()
		if _, err = b.RoundTrip(httptest.NewRequest("GET", "http://shop/", nil).WithContext(gone)); !errors.Is(err, lb.ErrClient) {
			t.Error(err)
		}
		mustBeIdle(t, b)
	})
}
