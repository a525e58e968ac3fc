package lb_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/go-loadbalancer/lb"
)

// byHeader has a request's priority in a header.
func byHeader(r *http.Request) int {
	n, _ := strconv.Atoi(r.Header.Get("Priority"))
	return n
}

// narrow is a balancer with one backend that serves so many at a time.
func narrow(t *testing.T, most int, send backends, cfg lb.Config) (*lb.Balancer, *lb.DynamicPool) {
	t.Helper()
	b, pool := balance(t, send, cfg)
	if err := pool.Replace(lb.Spec{URL: "http://a", MaxInFlight: most}); err != nil {
		t.Fatal(err)
	}
	return b, pool
}

// urgent is a request with a priority.
func urgent(n, priority int) *http.Request {
	r := httptest.NewRequest("GET", fmt.Sprint("http://shop/", n), nil)
	r.Header.Set("Priority", strconv.Itoa(priority))
	return r
}

// Whatever comes when, with whichever priority and patience and through whichever face: each is served when a
// place is free and nobody waits who is before it, unless it has gone.
func TestQueueOrder(t *testing.T) { rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, queueOrder) }) }

// arrival is a request of a queue's.
type arrival struct {
	at, until time.Duration // when it comes, and goes if it is not served
	priority  int
	direct    bool // by RoundTrip
}

func queueOrder(t *rapid.T) {
	const took = 10 * time.Millisecond
	places := rapid.IntRange(1, 4).Draw(t, "places")
	var came []arrival
	at := time.Duration(0)
	for i := range rapid.IntRange(1, 40).Draw(t, "requests") { // never two at once
		at += time.Duration(rapid.IntRange(1, 6).Draw(t, "gap"))*time.Millisecond + time.Duration(i)
		patience := time.Duration(rapid.IntRange(1, 200).Draw(t, "patience"))*time.Millisecond + 500*time.Microsecond
		came = append(came, arrival{at, at + patience, rapid.IntRange(0, 3).Draw(t, "priority"), rapid.Bool().Draw(t, "direct")})
	}
	var mu sync.Mutex
	var order []string
	pool := lb.Must(lb.NewPool(lb.Spec{URL: "http://a", MaxInFlight: places}))
	b := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: turns, Hosts: []string{"shop"}, Queue: lb.Queue{Length: len(came), Timeout: time.Hour, Priority: byHeader},
		Transport: backends(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			order = append(order, r.URL.Path)
			mu.Unlock()
			time.Sleep(took)
			return ok(r)
		}),
	}))
	var all sync.WaitGroup
	for i, c := range came {
		all.Go(func() {
			time.Sleep(c.at)
			ctx, leave := context.WithTimeout(context.Background(), c.until-c.at)
			defer leave()
			r := urgent(i, c.priority).WithContext(ctx)
			if !c.direct {
				serve(b, r)
			} else if resp, err := b.RoundTrip(r); err == nil {
				resp.Body.Close()
			}
		})
	}
	all.Wait()
	if want := inTurn(came, places, took); !slices.Equal(order, want) {
		t.Errorf("served %v\nwant %v", order, want)
	}
	if s := b.Status(); s.Active != 0 || s.Queued != 0 || s.Backends[0].InFlight() != 0 {
		t.Errorf("at rest: %d active, %d queued, %d in flight", s.Active, s.Queued, s.Backends[0].InFlight())
	}
}

// inTurn says in which order requests are served by so many places, each for the same time.
func inTurn(came []arrival, places int, took time.Duration) (order []string) {
	free := make([]time.Duration, places)
	left := make([]int, len(came)) // in the order of coming
	for i := range left {
		left[i] = i
	}
	for {
		slices.Sort(free)
		left = slices.DeleteFunc(left, func(i int) bool { return came[i].until < free[0] })
		if len(left) == 0 {
			return order
		}
		now := max(free[0], came[left[0]].at)
		next := slices.MinFunc(left, func(i, j int) int {
			return cmp.Or(cmp.Compare(max(now, came[i].at), max(now, came[j].at)), cmp.Compare(came[j].priority, came[i].priority), cmp.Compare(i, j))
		})
		order = append(order, "/"+strconv.Itoa(next))
		free[0] = now + took
		left = slices.DeleteFunc(left, func(i int) bool { return i == next })
	}
}

// However places come to be, several at once too, none is free for longer than it takes to look while somebody
// waits for it.
func TestNoPlaceIsIdle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { rapid.SyncTest(t, noPlaceIsIdle) })
}

func noPlaceIsIdle(t *rapid.T) {
	const look = 5 * time.Millisecond
	spec := func(places int) lb.Spec { return lb.Spec{ID: "a", URL: "http://a", MaxInFlight: places} }
	pool := lb.Must(lb.NewPool(spec(1)))
	b := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: turns, Queue: lb.Queue{Length: 40, Timeout: time.Second},
		Transport: backends(func(r *http.Request) (*http.Response, error) {
			took, _ := time.ParseDuration(r.Header.Get("Took"))
			time.Sleep(took)
			return ok(r)
		}),
	}))
	var all sync.WaitGroup
	defer all.Wait()
	t.Repeat(map[string]func(*rapid.T){
		"requests": func(t *rapid.T) {
			for _, took := range rapid.SliceOfN(rapid.IntRange(1, 3), 1, 10).Draw(t, "took") {
				r := httptest.NewRequest("GET", "/", nil)
				r.Header.Set("Took", fmt.Sprint(10*took, "ms"))
				all.Go(func() { serve(b, r) })
			}
		},
		"places": func(t *rapid.T) { _ = pool.Replace(spec(rapid.IntRange(1, 8).Draw(t, "places"))) },
		"": func(t *rapid.T) {
			time.Sleep(look + time.Microsecond)
			synctest.Wait()
			if be, n := pool.Snapshot().At(0), b.Status().Queued; n > 0 && be.InFlight() < int64(be.MaxInFlight()) {
				t.Errorf("%d of %d places are taken, and %d wait", be.InFlight(), be.MaxInFlight(), n)
			}
		},
	})
}

// Who gets no place in line, who loses it, and how long one may wait.
func TestQueueBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string]int{}
		b, _ := narrow(t, 1, after(10*time.Second), lb.Config{
			Queue: lb.Queue{Length: 2, Timeout: 3 * time.Second, Priority: byHeader}, ReasonHeader: "Why",
			Observers: []lb.Observer{{Request: func(s lb.Summary) {
				mu.Lock()
				defer mu.Unlock()
				told[fmt.Sprint(s.Request.URL.Path, " ", s.Status, s.Reason, " ", s.Duration)]++
			}}},
		})
		var all sync.WaitGroup
		ask := func(r *http.Request) {
			all.Go(func() {
				if resp := serve(b, r); resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
					t.Error("503 without Retry-After")
				}
			})
			synctest.Wait()
		}
		ask(urgent(1, 0)) // has the place
		ask(urgent(2, 1))
		ask(urgent(3, 0))
		ask(urgent(4, 0)) // one too many
		time.Sleep(time.Second)
		ask(urgent(5, 2)) // takes the place in line of 3
		if n := b.Status().Queued; n != 2 {
			t.Errorf("%d are queued, want 2", n)
		}
		ctx, leave := context.WithCancel(t.Context())
		time.Sleep(2*time.Second + time.Millisecond) // 2 has waited for 3 s
		ask(urgent(6, 0).WithContext(ctx))
		leave()
		synctest.Wait()
		hurried, done := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer done()
		ask(urgent(7, 0).WithContext(hurried))
		time.Sleep(time.Minute)
		all.Wait()
		want := []string{
			"/1 200 10s", "/2 503queue_timeout 3s", "/3 503queue_full 1s", "/4 503queue_full 0s", "/5 503queue_timeout 3s",
			"/6 499client 0s", "/7 503queue_timeout 500ms",
		}
		for _, w := range want {
			if told[w] != 1 {
				t.Errorf("%s was not told", w)
			}
		}
		if len(told) != len(want) {
			t.Errorf("told %v", told)
		}
		mustBeIdle(t, b)
	})
}

// A newcomer does not get the place that was just given back while somebody waits, even if that one has
// not woken yet.
func TestNewcomersDoNotOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		b, _ := narrow(t, 1, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, r.URL.Path)
			return ok(r)
		}, lb.Config{Queue: lb.Queue{Length: 9}})
		held := lb.Must(b.RoundTrip(urgent(0, 0)))
		var all sync.WaitGroup
		all.Go(func() { serve(b, urgent(1, 0)) })
		synctest.Wait()
		held.Body.Close()
		serve(b, urgent(2, 0))
		all.Wait()
		if want := []string{"/0", "/1", "/2"}; !slices.Equal(order, want) {
			t.Errorf("served %v", order)
		}
	})
}

// Each place that is given back wakes one. All are served, never more at a time than may be, and the
// number of looks grows with the number of requests alone.
func TestQueueWakesOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, most = 2000, 3
		var now, peak, picks atomic.Int64
		b, _ := narrow(t, most, func(r *http.Request) (*http.Response, error) {
			if k := now.Add(1); k > peak.Load() {
				peak.Store(k)
			}
			defer now.Add(-1)
			time.Sleep(time.Millisecond)
			return ok(r)
		}, lb.Config{Queue: lb.Queue{Length: n, Timeout: time.Minute}, Policy: func(s lb.Set) lb.Picker {
			return lb.PickFunc(func(lb.PickInfo) *lb.Backend { picks.Add(1); return s.Eligible[0].Backend })
		}})
		var good atomic.Int64
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if get(b).StatusCode == 200 {
					good.Add(1)
				}
			})
		}
		all.Wait()
		if good.Load() != n || peak.Load() != most {
			t.Errorf("%d of %d served, %d at a time", good.Load(), n, peak.Load())
		}
		if most := int64(20 * n); picks.Load() > most {
			t.Errorf("%d picks for %d requests", picks.Load(), n)
		}
		mustBeIdle(t, b)
	})
}

// What waits is served as soon as there is a place for whatever reason, and leaves at once when there is
// nothing to wait for any more.
func TestQueueSeesChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*lb.DynamicPool)
		status int
	}{
		"a higher limit":    {func(p *lb.DynamicPool) { _ = p.Replace(lb.Spec{URL: "http://a", MaxInFlight: 2}) }, 200},
		"one more":          {func(p *lb.DynamicPool) { _ = p.Add(lb.Spec{URL: "http://b"}) }, 200},
		"another's request": {nil, 200},
		"nobody is left":    {func(p *lb.DynamicPool) { p.Mark("http://a", lb.Draining, "test") }, 503},
	} {
		synctest.Test(t, func(t *testing.T) {
			cfg := lb.Config{Queue: lb.Queue{Length: 9, Timeout: time.Minute}}
			b, pool := narrow(t, 1, ok, cfg)
			other := lb.Must(lb.New(lb.Config{Pool: pool, Policy: first, Transport: backends(ok), Hosts: []string{"shop"}}))
			held := lb.Must(other.RoundTrip(urgent(0, 0)))
			start, status := time.Now(), make(chan int, 1)
			go func() { status <- get(b).StatusCode }()
			time.Sleep(time.Second)
			if c.change == nil {
				held.Body.Close()
			} else {
				defer held.Body.Close()
				c.change(pool)
			}
			if got, took := <-status, time.Since(start); got != c.status || took > time.Second+10*time.Millisecond {
				t.Errorf("%s: %d after %v", name, got, took)
			}
		})
	}
}

// Waiters that come and go at random, with retries, hedges of chance, panics and changes of the pool,
// leave nothing behind.
func TestQueueStorm(t *testing.T) {
	var told atomic.Int64
	b, pool := balance(t, func(r *http.Request) (*http.Response, error) {
		switch rand.IntN(9) {
		case 0:
			return nil, errDial
		case 1:
			panic(http.ErrAbortHandler)
		}
		return ok(r)
	}, lb.Config{
		Queue: lb.Queue{Length: 6, Timeout: time.Millisecond, Priority: byHeader}, WaitForBackend: time.Millisecond,
		Breakers:  func(*lb.Backend) lb.Breaker { return &gate{} },
		SlowStart: lb.SlowStart{Window: time.Second},
		Observers: []lb.Observer{{Request: func(lb.Summary) { told.Add(1) }}},
	})
	const clients, n = 16, 150
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for j := range n {
				func() {
					defer func() { _ = recover() }()
					ctx, leave := context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
					defer leave()
					serve(b, urgent(j, rand.IntN(3)).WithContext(ctx))
				}()
				if i == 0 {
					_ = pool.Replace(lb.Spec{URL: "http://a", MaxInFlight: 1 + rand.IntN(2)}, lb.Spec{URL: "http://b", MaxInFlight: 1})
					pool.Mark("http://b", lb.Draining, "test")
				}
				for _, be := range b.Status().Backends {
					if be.InFlight() < 0 {
						t.Errorf("%d in flight", be.InFlight())
					}
				}
			}
		})
	}
	all.Wait()
	if s := b.Status(); s.Queued != 0 || told.Load() != clients*n {
		t.Errorf("%d queued at the end, %d summaries", s.Queued, told.Load())
	}
	mustBeIdle(t, b)
}

// The time in the queue is the request's, and no backend's latency.
func TestWaitingIsNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var took []time.Duration
		o := new(ledger)
		b, _ := narrow(t, 1, after(time.Second), lb.Config{
			Queue: lb.Queue{Length: 9, Timeout: time.Minute},
			Observers: []lb.Observer{o.observer(), {Request: func(s lb.Summary) {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, s.Duration)
			}}},
		})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { get(b) })
			synctest.Wait()
		}
		all.Wait()
		for _, r := range o.results {
			if r.Latency != time.Second {
				t.Errorf("an attempt took %v", r.Latency)
			}
		}
		if want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}; !slices.Equal(took, want) {
			t.Errorf("requests took %v, want %v", took, want)
		}
	})
}

// Shutdown waits for who waits, too.
func TestShutdownWaitsForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := narrow(t, 1, after(time.Second), lb.Config{Queue: lb.Queue{Length: 9, Timeout: time.Minute}})
		var good atomic.Int64
		for range 4 {
			go func() {
				if get(b).StatusCode == 200 {
					good.Add(1)
				}
			}()
		}
		synctest.Wait()
		start := time.Now()
		if err := b.Shutdown(t.Context()); err != nil || time.Since(start) < 4*time.Second {
			t.Errorf("shut down after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
		if good.Load() != 4 {
			t.Errorf("%d of 4 were served", good.Load())
		}
		mustBeIdle(t, b)
	})
}

// An empty queue costs no allocation.
func TestEmptyQueueCostsNothing(t *testing.T) {
	figures := map[bool]float64{}
	for _, on := range []bool{false, true} {
		cfg := lb.Config{Policy: first}
		if on {
			cfg.Queue, cfg.WaitForBackend = lb.Queue{Length: 100}, time.Second
		}
		b, _ := narrow(t, 9, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
		}, cfg)
		r, w := httptest.NewRequest("GET", "/", nil), sink{http.Header{}}
		figures[on] = testing.AllocsPerRun(200, func() { clear(w.h); b.ServeHTTP(w, r) })
	}
	if figures[true] > figures[false] {
		t.Errorf("allocations: %v", figures)
	}
}

func TestQueueFaults(t *testing.T) {
	for want, cfg := range map[string]lb.Config{
		"Length -1": {Queue: lb.Queue{Length: -1}}, "Timeout -1s": {Queue: lb.Queue{Length: 1, Timeout: -time.Second}},
		"Length is zero": {Queue: lb.Queue{Timeout: 1}}, "WaitForBackend -1ns": {WaitForBackend: -1},
	} {
		cfg.Pool, cfg.Policy = lb.Must(lb.NewPool()), first
		if _, err := lb.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// With one place and a queue of one, the third of three requests at once is turned away.
func ExampleQueue() {
	busy, finish := make(chan bool), make(chan bool)
	pool := lb.Must(lb.NewPool(lb.Spec{URL: "http://10.0.0.1", MaxInFlight: 1}))
	balancer := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: first, Queue: lb.Queue{Length: 1, Timeout: time.Minute},
		Transport: backends(func(r *http.Request) (*http.Response, error) {
			busy <- true
			<-finish
			return ok(r)
		}),
	}))
	var all sync.WaitGroup
	ask := func() { all.Go(func() { get(balancer) }) }
	ask()
	<-busy
	ask()
	for balancer.Status().Queued == 0 {
		runtime.Gosched()
	}
	resp := get(balancer)
	body, _ := io.ReadAll(resp.Body)
	fmt.Print(resp.StatusCode, " ", resp.Header.Get("Retry-After"), " ", string(body))
	close(finish)
	<-busy
	all.Wait()
	// Output: 503 1 Service Unavailable
}
