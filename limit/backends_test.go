package limit_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/lbtest"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/picker"
)

// A breaker behind a limit is the breaker it was.
func TestABreakerBehindALimitPassesTheKit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := lb.Must(limit.NewBackends(limit.AdaptiveConfig{Start: 1_000_000, Max: 1_000_000}, lb.Must(breaker.New(breaker.Config{}))))
		be := lb.Must(lb.NewBackend(lb.Spec{URL: "http://a"}, nil))
		if err := lbtest.TestBreaker(func() lb.Breaker { return limits.Breaker(be) }, lbtest.BreakerTraits{Trials: 3}); err != nil {
			t.Error(err)
		}
	})
}

// backends is a function that stands for all backends.
type backends func(*http.Request) (*http.Response, error)

func (f backends) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"X-Backend": {r.URL.Host}}, Body: io.NopCloser(strings.NewReader("")),
	}
}

// balance returns a balancer over a, b and c with limits.
func balance(t *testing.T, limits *limit.Backends, send backends) *lb.Balancer {
	t.Helper()
	pool := lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...))
	return lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.RoundRobin, Transport: send, Breakers: limits.Breaker}))
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// mustBeIdle fails if a place was not given back.
func mustBeIdle(t *testing.T, limits *limit.Backends) {
	t.Helper()
	for _, l := range limits.Limits() {
		if l.InFlight != 0 {
			t.Errorf("%s has %d in flight", l.Backend, l.InFlight)
		}
	}
}

// Where one backend is full, another serves; when all are, the client is told when to come again. None
// of them is taken for tripped, and what was full serves as soon as it can.
func TestAFullBackendIsPassedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		limits := lb.Must(limit.NewBackends(limit.AdaptiveConfig{Start: 2}, nil))
		b := balance(t, limits, func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/hold" {
				<-release
			}
			return answer(r, 200), nil
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { get(b, "/hold") })
		}
		synctest.Wait()
		for range 10 {
			if w := get(b, "/"); w.Code != 200 {
				t.Errorf("one place is left, and a request got %d", w.Code)
			}
		}
		wg.Go(func() { get(b, "/hold") })
		synctest.Wait()
		if w := get(b, "/"); w.Code != 503 || w.Header().Get("Retry-After") == "" {
			t.Errorf("all are full, and a request got %d %v", w.Code, w.Header())
		}
		for _, s := range b.Status().Backends {
			if s.Breaker != lb.Closed {
				t.Errorf("%s is %v", s.ID(), s.Breaker)
			}
		}
		if list := limits.Limits(); len(list) != 3 || list[0] != (limit.BackendLimit{Backend: "http://a", Limit: 2, InFlight: 2}) {
			t.Errorf("the limits are %v", list)
		}
		close(release)
		wg.Wait()
		if w := get(b, "/"); w.Code != 200 {
			t.Errorf("all are free again, and a request got %d", w.Code)
		}
		mustBeIdle(t, limits)
	})
}

// Whatever comes of a request, its place is given back.
func TestPlacesAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := lb.Must(limit.NewBackends(limit.AdaptiveConfig{Start: 3}, lb.Must(breaker.New(breaker.Config{}))))
		b := balance(t, limits, func(r *http.Request) (*http.Response, error) {
			switch r.URL.Path {
			case "/panic":
				panic("transport")
			case "/error":
				return nil, errors.New("no")
			case "/slow":
				select {
				case <-time.After(time.Minute):
				case <-r.Context().Done():
					return nil, context.Cause(r.Context())
				}
			}
			return answer(r, 200), nil
		})
		for range 50 {
			for _, path := range []string{"/", "/error", "/panic", "/slow", "/"} {
				func() {
					defer func() { _ = recover() }()
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil).WithContext(ctx))
				}()
			}
			mustBeIdle(t, limits)
		}
	})
}

// One backend that is slow when it has much to do is sent what it can do, and the others the rest.
func TestEachBackendFindsItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limits := lb.Must(limit.NewBackends(limit.AdaptiveConfig{}, nil))
		places := map[string]chan struct{}{"a": make(chan struct{}, 4), "b": make(chan struct{}, 40), "c": make(chan struct{}, 40)}
		b := balance(t, limits, func(r *http.Request) (*http.Response, error) {
			places[r.URL.Host] <- struct{}{}
			time.Sleep(20 * time.Millisecond)
			<-places[r.URL.Host]
			return answer(r, 200), nil
		})
		var wg sync.WaitGroup
		refused := 0
		for i := range 15_000 { // 2000 a second of 4200, a third of which would go to a, that can do 200
			if i < 3000 {
				time.Sleep(2 * time.Millisecond) // and before that 500, in which all is well
			} else {
				time.Sleep(500 * time.Microsecond)
			}
			wg.Go(func() {
				if w := get(b, "/"); w.Code != 200 {
					refused++
				}
			})
			if i == 14_999 {
				for _, l := range limits.Limits() {
					if low, high := 4, 16; l.Backend == "http://a" && (l.Limit < low || l.Limit > high) {
						t.Errorf("a, which serves 4 at a time, has a limit of %d, want %d to %d", l.Limit, low, high)
					}
				}
			}
		}
		wg.Wait()
		if refused > 150 {
			t.Errorf("%d requests were refused", refused)
		}
		mustBeIdle(t, limits)
	})
}

// What has left the pool is forgotten.
func TestLimitsOfBackendsThatLeft(t *testing.T) {
	limits := lb.Must(limit.NewBackends(limit.AdaptiveConfig{}, nil))
	func() {
		for _, id := range []string{"a", "b"} {
			limits.Breaker(lb.Must(lb.NewBackend(lb.Spec{ID: id, URL: "http://a"}, nil)))
		}
	}()
	kept := limits.Breaker(lb.Must(lb.NewBackend(lb.Spec{ID: "c", URL: "http://a"}, nil)))
	runtime.GC()
	runtime.GC()
	if list := limits.Limits(); len(list) != 1 || list[0].Backend != "c" {
		t.Errorf("%v, want c alone", list)
	}
	runtime.KeepAlive(kept)
}

func TestALimitAllocatesNothing(t *testing.T) {
	g := lb.Must(limit.NewBackends(limit.AdaptiveConfig{}, lb.Must(breaker.New(breaker.Config{})))).
		Breaker(lb.Must(lb.NewBackend(lb.Spec{URL: "http://a"}, nil)))
	timed := g.(interface {
		DoneIn(lb.Permit, lb.Outcome, time.Duration)
	})
	if n := testing.AllocsPerRun(1000, func() {
		if p, ok := g.Allow(); ok {
			timed.DoneIn(p, lb.Success, time.Millisecond)
		}
		g.Status()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBackend(b *testing.B) {
	g := lb.Must(limit.NewBackends(limit.AdaptiveConfig{}, nil)).Breaker(lb.Must(lb.NewBackend(lb.Spec{URL: "http://a"}, nil)))
	timed := g.(interface {
		DoneIn(lb.Permit, lb.Outcome, time.Duration)
	})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if p, ok := g.Allow(); ok {
				timed.DoneIn(p, lb.Success, time.Millisecond)
			}
		}
	})
}
