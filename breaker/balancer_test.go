package breaker_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
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
					changes = append(changes, fmt.Sprint(c.Backend.URL().Host, " ", c.BreakerBefore, " to ", c.BreakerAfter))
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
		want := []string{"b closed to open", "b open to half-open", "b half-open to closed"}
		if !slices.Equal(changes, want) {
			t.Errorf("changes %q, want %q", changes, want)
		}
	})
}
