package breaker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// rotate is a policy that takes one backend after the other.
func rotate(s lb.Set) lb.Picker {
	var next atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[next.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

// A backend that fails leaves, is tried again with few requests and comes back, and observers
// hear of each step.
func TestThroughABalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sick atomic.Bool
		var asked atomic.Int64 // of backend b
		var changes []string   // calls never overlap; read after the last
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			status := http.StatusOK
			if r.URL.Host == "b" {
				asked.Add(1)
				if sick.Load() {
					status = http.StatusBadGateway
				}
			}
			return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(""))}, nil
		})
		balancer := lb.Must(lb.New(lb.Config{
			Pool:      lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...)),
			Policy:    rotate,
			Transport: transport,
			Breakers:  lb.Must(breaker.New(breaker.Config{})),
			Observers: []lb.Observer{{Change: func(c lb.Change) {
				if !c.Joined {
					changes = append(changes, fmt.Sprint(c.Backend.URL().Host, " ", c.BreakerBefore, " to ", c.BreakerAfter, ": ", c.BreakerCause))
				}
			}}},
		}))
		serve := func(n int) (failed int) {
			for range n {
				w := httptest.NewRecorder()
				balancer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Code != http.StatusOK {
					failed++
				}
				synctest.Wait() // for the view to be rebuilt
			}
			return failed
		}
		if failed := serve(30); failed != 0 {
			t.Errorf("%d requests failed while all was well", failed)
		}
		sick.Store(true)
		if failed := serve(60); failed != 5 {
			t.Errorf("%d requests failed, want the 5 in a row that open", failed)
		}
		time.Sleep(6 * time.Second)
		asked.Store(0)
		if failed := serve(60); failed != 1 || asked.Load() != 1 {
			t.Errorf("%d requests failed and %d went to the sick backend, want one trial", failed, asked.Load())
		}
		sick.Store(false)
		time.Sleep(6 * time.Second)
		if failed := serve(60); failed != 0 || asked.Load() < 15 {
			t.Errorf("%d requests failed and %d went to the backend that is well again", failed, asked.Load())
		}
		// The trial that failed at once was half-open between two looks.
		want := []string{"b closed to open: 5 requests in a row failed", "b open to half-open: a trial failed", "b half-open to closed: "}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %q, want %q", changes, want)
		}
	})
}

// Slow answers trip a breaker through a balancer, too, by when they begin and not by how long they go
// on, and Status says why.
func TestSlowThroughABalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "b" {
				time.Sleep(300 * time.Millisecond)
			}
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(lingering{})}, nil
		})
		balancer := lb.Must(lb.New(lb.Config{
			Pool:      lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...)),
			Policy:    rotate,
			Transport: transport,
			Breakers:  lb.Must(breaker.New(breaker.Config{Slow: 200 * time.Millisecond, Window: time.Minute})),
		}))
		for range 60 {
			balancer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			synctest.Wait()
		}
		for _, b := range balancer.Status().Backends {
			open, cause := lb.Closed, ""
			if b.ID() == "http://b" {
				open, cause = lb.Open, "20 of 20 answers within 1m0s took longer than 200ms"
			}
			if b.Breaker != open || b.BreakerCause != cause {
				t.Errorf("%s: %v, %q", b.ID(), b.Breaker, b.BreakerCause)
			}
		}
	})
}

// lingering is a body that takes long.
type lingering struct{}

func (lingering) Read([]byte) (int, error) {
	time.Sleep(500 * time.Millisecond)
	return 0, io.EOF
}

// A backend comes back with room for few, at 500 requests a second: until its breaker is closed, it gets
// no more trials at a time than configured, and the others get the rest.
func TestThunderingHerd(t *testing.T) {
	for trials := 1; trials <= 5; trials++ {
		synctest.Test(t, func(t *testing.T) {
			var dead atomic.Bool
			var running, most, failed, asked atomic.Int64
			var flying sync.WaitGroup
			closed := lb.Closed
			var balancer *lb.Balancer
			transport := roundTrip(func(r *http.Request) (*http.Response, error) {
				status := http.StatusOK
				if r.URL.Host == "b" {
					asked.Add(1)
					n := running.Add(1)
					if balancer.Status().Backends[1].Breaker != closed {
						most.Store(max(most.Load(), n))
					}
					if dead.Load() || n > 50 {
						status = http.StatusServiceUnavailable
					}
					time.Sleep(20 * time.Millisecond)
					running.Add(-1)
				}
				return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(""))}, nil
			})
			balancer = lb.Must(lb.New(lb.Config{
				Pool: lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...)), Policy: rotate, Transport: transport,
				Breakers: lb.Must(breaker.New(breaker.Config{Trials: trials})), Retries: -1,
			}))
			send := func(d time.Duration) {
				for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
					flying.Go(func() {
						w := httptest.NewRecorder()
						if balancer.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Code != http.StatusOK {
							failed.Add(1)
						}
					})
				}
			}
			send(time.Second)
			dead.Store(true)
			send(10 * time.Second)
			flying.Wait()
			most.Store(0)
			dead.Store(false)
			failed.Store(0)
			asked.Store(0)
			send(10 * time.Second)
			flying.Wait()
			if n := most.Load(); n == 0 || n > int64(trials) {
				t.Errorf("%d trials: %d at a time while it came back", trials, n)
			}
			if failed.Load() != 0 || asked.Load() < 500 {
				t.Errorf("%d trials: %d requests failed, %d went to it", trials, failed.Load(), asked.Load())
			}
		})
	}
}
