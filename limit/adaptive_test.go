package limit

import (
	"bufio"
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

func adaptive(t testing.TB, cfg AdaptiveConfig) *Adaptive {
	t.Helper()
	a, err := NewAdaptive(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// blocking is a handler that holds its requests until release is closed.
type blocking struct {
	release chan struct{}
	now     atomic.Int64
	most    atomic.Int64
}

func (b *blocking) ServeHTTP(http.ResponseWriter, *http.Request) {
	n := b.now.Add(1)
	defer b.now.Add(-1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	<-b.release
}

// status serves a request and returns the answer's status.
func status(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Never are more in flight than the limit says, exactly as many are when more come, and in the end
// nobody is.
func TestTheLimitIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []int{1, 7, 64} {
			a := adaptive(t, AdaptiveConfig{Start: limit, Max: 100})
			held := &blocking{release: make(chan struct{})}
			h := a.Wrap(held)
			var wg sync.WaitGroup
			var refused atomic.Int64
			for range 1000 {
				wg.Go(func() {
					if status(h, request("192.0.2.1:1")) == http.StatusServiceUnavailable {
						refused.Add(1)
					}
				})
			}
			synctest.Wait()
			if n := int(held.now.Load()); n > limit || a.InFlight() != n || int(refused.Load()) != 1000-n || n < limit {
				t.Errorf("limit %d: %d are in flight, %d counted, %d refused", limit, n, a.InFlight(), refused.Load())
			}
			close(held.release)
			wg.Wait()
			if a.InFlight() != 0 || int(held.most.Load()) > limit {
				t.Errorf("limit %d: %d in flight at rest, %d at most", limit, a.InFlight(), held.most.Load())
			}
		}
	})
}

// While it changes, too: 64 goroutines ask, and the limit moves.
func TestNobodyIsLost(t *testing.T) {
	a := adaptive(t, AdaptiveConfig{Start: 8, Max: 32})
	var now atomic.Int64
	h := a.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > 32 {
			t.Errorf("%d in flight", n)
		}
		defer now.Add(-1)
		if r.Header.Get("X-Panic") != "" {
			panic(http.ErrAbortHandler)
		}
	}))
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for i := range 500 {
				r := request("192.0.2.1:1")
				if (g+i)%3 == 0 {
					r.Header.Set("X-Panic", "1")
				}
				func() {
					defer func() { _ = recover() }()
					h.ServeHTTP(httptest.NewRecorder(), r)
				}()
				a.places.learn(time.Now(), time.Duration(g*i)*time.Microsecond)
			}
		})
	}
	wg.Wait()
	if n := a.InFlight(); n != 0 {
		t.Errorf("%d in flight at rest", n)
	}
	if l := a.Limit(); l < 1 || l > 32 {
		t.Errorf("a limit of %d", l)
	}
}

// Who is refused is told when to come again, and why.
func TestTheRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := 0
		a := adaptive(t, AdaptiveConfig{Start: 1, ReasonHeader: "X-Reason", OnRefused: func(*http.Request) { told++ }})
		held := &blocking{release: make(chan struct{})}
		h := a.Wrap(held)
		go status(h, request("192.0.2.1:1"))
		synctest.Wait()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("192.0.2.1:1"))
		if w.Code != 503 || w.Header().Get("Retry-After") != "1" || w.Header().Get("X-Reason") != "overload" || told != 1 {
			t.Errorf("got %d %v and told %d times", w.Code, w.Header(), told)
		}
		close(held.release)
		synctest.Wait()
		if code := status(h, request("192.0.2.1:1")); code != 200 || told != 1 {
			t.Errorf("then %d", code)
		}
	})
}

// What is less important finds less room, the least important some, and what is exempt always.
func TestPriorities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := map[string]int{"9": 50, "0": 50, "": 50, "-1": 36, "-2": 26, "-4": 6, "-99": 6}
		for priority, want := range room {
			a := adaptive(t, AdaptiveConfig{Start: 50, Priority: func(r *http.Request) int {
				return map[string]int{"9": 9, "-1": -1, "-2": -2, "-4": -4, "-99": math.MinInt}[r.Header.Get("X-Priority")]
			}})
			held := &blocking{release: make(chan struct{})}
			h := a.Wrap(held)
			ask := func(header, value string) {
				r := request("192.0.2.1:1")
				r.Header.Set(header, value)
				go status(h, r)
				synctest.Wait()
			}
			for range 60 {
				ask("X-Priority", priority)
			}
			if n := a.InFlight(); n != want {
				t.Errorf("priority %q: %d passed, want %d", priority, n, want)
			}
			before := held.now.Load()
			ask("Upgrade", "websocket")
			ask("Accept", "text/event-stream")
			if n := held.now.Load() - before; n != 2 || a.InFlight() != want {
				t.Errorf("%d of 2 that last passed, and %d are counted, want %d", n, a.InFlight(), want)
			}
			close(held.release)
			synctest.Wait()
		}
	})
	for limit := range 8 {
		p := newPlaces(AdaptiveConfig{Start: max(1, limit)}.withDefaults())
		if !p.enter(4) {
			t.Errorf("limit %d: nothing that is not important ever passes", limit)
		}
	}
}

// A connection that is taken over counts until its handler returns.
func TestHijacking(t *testing.T) {
	a := adaptive(t, AdaptiveConfig{})
	hijacked, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(a.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		close(hijacked)
		<-release
		_, _ = conn.Write([]byte("HTTP/1.0 200 OK\r\n\r\n"))
	})))
	defer server.Close()
	done := make(chan error)
	go func() {
		resp, err := http.Get(server.URL)
		if err == nil {
			_, _ = bufio.NewReader(resp.Body).ReadByte()
			resp.Body.Close()
		}
		done <- err
	}()
	<-hijacked
	if n := a.InFlight(); n != 1 {
		t.Errorf("%d in flight", n)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	server.Close() // waits for nobody who is hijacked
	for a.InFlight() != 0 {
		<-time.NewTimer(time.Millisecond).C
	}
}

// Only what tells something is learnt from: whole answers to clients who wait for them, or what the
// observer says of attempts, if there is one.
func TestWhatIsLearnt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := func(a *Adaptive) uint64 { return a.places.sums.Load() >> countShift }
		a := adaptive(t, AdaptiveConfig{})
		h := a.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Millisecond)
			if r.URL.Path == "/panic" {
				panic(http.ErrAbortHandler)
			}
		}))
		gone, leave := context.WithCancel(t.Context())
		leave()
		status(h, request("192.0.2.1:1").WithContext(gone))
		func() {
			defer func() { _ = recover() }()
			status(h, httptest.NewRequest("GET", "/panic", nil))
		}()
		if n := answers(a); n != 0 {
			t.Errorf("learnt from %d that tell nothing", n)
		}
		if status(h, request("192.0.2.1:1")); answers(a) != 1 {
			t.Error("learnt nothing from an answer")
		}
		o := a.Observer()
		if status(h, request("192.0.2.1:1")); answers(a) != 1 {
			t.Error("learnt from a handler's time while an observer knows better")
		}
		o.Attempt(lb.Result{Outcome: lb.Neutral, Latency: time.Second})
		a.places.base.Store(int64(10 * time.Millisecond))
		o.Attempt(lb.Result{Outcome: lb.Failure, Latency: time.Millisecond})
		if answers(a) != 1 {
			t.Error("learnt from a try that tells nothing")
		}
		o.Attempt(lb.Result{Outcome: lb.Failure, Latency: time.Second})
		o.Attempt(lb.Result{Outcome: lb.Success, Latency: time.Millisecond})
		if answers(a) != 3 {
			t.Errorf("learnt from %d of 2 tries", answers(a)-1)
		}
	})
}

func TestNothingIsAllocatedForALimitThatAdapts(t *testing.T) {
	a := adaptive(t, AdaptiveConfig{Start: 1, Priority: func(*http.Request) int { return -1 }})
	h, r, w := a.Wrap(ok), request("192.0.2.1:1"), httptest.NewRecorder()
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNewAdaptiveNamesEveryFault(t *testing.T) {
	_, err := NewAdaptive(AdaptiveConfig{Min: -1, Max: -1, Start: -7, ReasonHeader: "a b"})
	_, too := NewBackends(AdaptiveConfig{Min: -1, Max: -1, Start: -7, ReasonHeader: "a b"}, nil)
	for _, field := range []string{"Min", "Max", "Start", "ReasonHeader"} {
		if err == nil || !strings.Contains(err.Error(), "limit: AdaptiveConfig."+field) || too == nil || too.Error() != err.Error() {
			t.Errorf("%v does not name %s", err, field)
		}
	}
	for _, cfg := range []AdaptiveConfig{{Min: 10, Max: 5}, {Start: 2000}, {Min: 60, Start: 50}, {Max: 2_000_000}} {
		if _, err := NewAdaptive(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
	for _, cfg := range []AdaptiveConfig{{Max: 10}, {Min: 2000}, {Min: 5, Max: 5, Start: 5}} {
		a, err := NewAdaptive(cfg)
		if err != nil || a.Limit() < max(1, cfg.Min) || cfg.Max > 0 && a.Limit() > cfg.Max {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func BenchmarkAdaptive(b *testing.B) {
	h := adaptive(b, AdaptiveConfig{}).Wrap(ok)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		r, w := request("192.0.2.1:1"), httptest.NewRecorder()
		for pb.Next() {
			h.ServeHTTP(w, r)
		}
	})
}
