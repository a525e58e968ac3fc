package lb_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// ledger collects what observers are told of attempts.
type ledger struct {
	mu      sync.Mutex
	results []lb.Result
}

func (o *ledger) observer() lb.Observer {
	return lb.Observer{Attempt: func(r lb.Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.results = append(o.results, r)
	}}
}

// of returns the result of a backend.
func (o *ledger) of(id string) lb.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.results {
		if r.Backend.ID() == "http://"+id {
			return r
		}
	}
	return lb.Result{}
}

// within answers after a time, or fails with what ends the request.
func within(d time.Duration, r *http.Request) (*http.Response, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ok(r)
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
}

// Whoever answers first wins, the other is given up and blamed for nothing, whichever face and
// whichever backend it is.
func TestHedge(t *testing.T) {
	for _, c := range []struct {
		a, b, delay, took time.Duration
		from              string
		asked             int
	}{
		{5 * time.Second, time.Second, time.Second, 2 * time.Second, "b", 2},
		{3 * time.Second, 5 * time.Second, time.Second, 3 * time.Second, "a", 2},
		{time.Second, time.Second, 2 * time.Second, time.Second, "a", 1},
	} {
		for _, direct := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				o := new(ledger)
				b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
					asked.Add(1)
					return within(map[string]time.Duration{"a": c.a, "b": c.b}[r.URL.Host], r)
				}, lb.Config{Policy: inOrder, Hedge: lb.Hedge{After: c.delay}, Observers: []lb.Observer{o.observer()}})
				start := time.Now()
				var resp *http.Response
				if direct {
					resp = lb.Must(b.RoundTrip(lb.Must(http.NewRequest("GET", "http://shop/", nil))))
				} else {
					resp = get(b)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if string(body) != c.from || time.Since(start) != c.took || int(asked.Load()) != c.asked {
					t.Errorf("%+v: %q after %v, %d asked", c, body, time.Since(start), asked.Load())
				}
				synctest.Wait()
				for id, loser := range map[string]string{"b": "a", "a": "b"} {
					if r := o.of(loser); id == c.from && c.asked == 2 && (r.Outcome != lb.Neutral || r.Reason != "hedged") {
						t.Errorf("the loser: %+v", r)
					}
				}
				if r := o.of("b"); c.asked == 2 && !r.Hedge || o.of("a").Hedge {
					t.Errorf("the hedge: %+v", r)
				}
				mustBeIdle(t, b)
			})
		}
	}
}

// What may not be sent twice is not hedged.
func TestWhatIsNotHedged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			return within(time.Minute, r)
		}, lb.Config{Hedge: lb.Hedge{After: time.Second}})
		for _, r := range []*http.Request{
			httptest.NewRequest("POST", "/", nil),
			httptest.NewRequest("PATCH", "/", strings.NewReader("x")),
			httptest.NewRequest("PUT", "/", strings.NewReader(strings.Repeat("x", 100<<10))), // is not read beforehand
		} {
			asked.Store(0)
			if serve(b, r); asked.Load() != 1 {
				t.Errorf("%s: %d asked", r.Method, asked.Load())
			}
		}
		asked.Store(0)
		if serve(b, httptest.NewRequest("PUT", "/", strings.NewReader("short"))); asked.Load() != 2 {
			t.Errorf("a short PUT: %d asked", asked.Load())
		}
	})
}

// Hedges and retries together are no more than a fifth of the requests and ten.
func TestHedgesHaveABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			return within(time.Second, r)
		}, lb.Config{Hedge: lb.Hedge{After: time.Millisecond}})
		const n = 5000
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for range n / 64 {
					get(b)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if most := int64(n + n/5 + 11); asked.Load() > most || asked.Load() < n {
			t.Errorf("%d tries for %d requests, want at most %d", asked.Load(), n, most)
		}
		mustBeIdle(t, b)
	})
}

// Failures before and after the hedge: as long as one is under way it may still answer, and when all
// have failed the next backend is tried.
func TestHedgesThatFail(t *testing.T) {
	for _, c := range []struct {
		name    string
		a, b, c func(*http.Request) (*http.Response, error)
		status  int
		from    string
	}{
		{"the first fails at once", failAfter(0), after(time.Second), after(time.Second), 200, "b"},
		{"the first fails later", failAfter(2 * time.Second), after(3 * time.Second), after(time.Second), 200, "b"},
		{"the second fails", after(5 * time.Second), failAfter(time.Second), after(time.Second), 200, "a"},
		{"two fail", failAfter(3 * time.Second), failAfter(time.Second), after(time.Second), 200, "c"},
		{"all fail", failAfter(3 * time.Second), failAfter(time.Second), failAfter(0), 502, ""},
		{"it panics", func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) }, after(0), after(0), 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := new(ledger)
			b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
				return map[string]func(*http.Request) (*http.Response, error){"a": c.a, "b": c.b, "c": c.c}[r.URL.Host](r)
			}, lb.Config{Policy: inOrder, Retries: 2, Hedge: lb.Hedge{After: time.Second}, Observers: []lb.Observer{o.observer()}})
			func() {
				defer func() {
					if p := recover(); (p != nil) != (c.status == 0) {
						t.Errorf("%s: panic %v", c.name, p)
					}
				}()
				resp := get(b)
				if body, _ := io.ReadAll(resp.Body); resp.StatusCode != c.status || c.from != "" && string(body) != c.from {
					t.Errorf("%s: %d from %q", c.name, resp.StatusCode, body)
				}
			}()
			synctest.Wait()
			mustBeIdle(t, b)
		})
	}
}

func after(d time.Duration) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) { return within(d, r) }
}

func failAfter(d time.Duration) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if _, err := within(d, r); err != nil {
			return nil, err
		}
		return nil, errors.New("failed")
	}
}

// The quantile is that of the backend's recent answers, and nothing is hedged before enough are known.
func TestHedgeByQuantile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		var slow atomic.Bool
		b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
			asked.Add(1)
			if slow.Load() && r.URL.Host == "a" {
				return within(time.Second, r)
			}
			return within(10*time.Millisecond, r)
		}, lb.Config{Policy: inOrder, Hedge: lb.Hedge{Quantile: 0.9}})
		slow.Store(true)
		start := time.Now()
		if get(b); time.Since(start) != time.Second {
			t.Errorf("hedged after %v with nothing known", time.Since(start))
		}
		slow.Store(false)
		for range 200 {
			get(b)
		}
		slow.Store(true)
		start = time.Now()
		if took := func() time.Duration { get(b); return time.Since(start) }(); took < 20*time.Millisecond || took > 25*time.Millisecond {
			t.Errorf("%v, want the quantile of about 10 ms, and 10 ms more", took)
		}
	})
}

// A loser that answers after all, over the engine, leaves nothing behind: no connection, no place.
func TestLosersAreCleanedUp(t *testing.T) {
	gate := make(chan bool)
	f := pair(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, "late")
	}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "quick") },
		lb.Config{Hedge: lb.Hedge{After: 10 * time.Millisecond}})
	for range 8 { // the budget is for more
		if resp, got := f.do(t, f.request(t, "GET", "/", nil)); resp.StatusCode != 200 || got != "quick" && got != "late" {
			t.Errorf("%s %q", resp.Status, got)
		}
	}
	close(gate)
	for f.balancer.Status().Active > 0 {
		runtime.Gosched()
	}
	mustBeIdle(t, f.balancer)
}

// A hedge waits for as much longer as this program did not run: what came in that time is there at once when it
// runs again, and who was slow all the same is hedged. Pauses before the request are no matter.
func TestPausesAreNoReasonToHedge(t *testing.T) {
	const delay, look = 50 * time.Millisecond, lb.TickEvery
	for _, c := range []struct {
		name         string
		stop, resume time.Duration // since the request
		takes        time.Duration // of the first backend, as the clock has it
		hedged       bool
		took         time.Duration
	}{
		{"no pause, fast", 0, 0, 40 * time.Millisecond, false, 40 * time.Millisecond},
		{"no pause, slow", 0, 0, time.Second, true, delay},
		{"its answer came in the pause", 10 * time.Millisecond, 210 * time.Millisecond, 215 * time.Millisecond, false, 215 * time.Millisecond},
		{"it came soon after", 10 * time.Millisecond, 210 * time.Millisecond, 240 * time.Millisecond, false, 240 * time.Millisecond},
		{"slow all the same", 10 * time.Millisecond, 210 * time.Millisecond, time.Second, true, delay + 200*time.Millisecond},
		{"a pause before", -300 * time.Millisecond, -100 * time.Millisecond, time.Second, true, delay},
	} {
		synctest.Test(t, func(t *testing.T) {
			pauses, begin := new(lb.Pauses), time.Now().Add(500*time.Millisecond) // of the request
			ctx, cancel := context.WithCancel(t.Context())
			var looking sync.WaitGroup
			pauses.Start(time.Now())
			looking.Go(func() { // as Run does, but for the pause
				for ctx.Err() == nil {
					time.Sleep(look)
					if at := time.Since(begin); at <= c.stop || at >= c.resume {
						pauses.Look(time.Now())
					}
				}
			})
			var asked atomic.Int64
			b, _ := balance(t, func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				return within(map[string]time.Duration{"a": c.takes}[r.URL.Host], r)
			}, lb.Config{Policy: inOrder, Hedge: lb.Hedge{After: delay}, Pauses: pauses})
			time.Sleep(time.Until(begin))
			get(b)
			took := time.Since(begin)
			if hedged := asked.Load() == 2; hedged != c.hedged || took < c.took-look || took > c.took+look+time.Millisecond {
				t.Errorf("%s: hedged %v after %v, want %v after %v", c.name, hedged, took, c.hedged, c.took)
			}
			cancel()
			looking.Wait()
			synctest.Wait() // the loser ends by itself
			mustBeIdle(t, b)
		})
	}
}
