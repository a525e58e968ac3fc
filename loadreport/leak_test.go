package loadreport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// leaks reports whether something that counts requests in flight counts one for good when handlers
// panic, when clients leave, or when neither happens.
func leaks(wrap func(http.Handler) http.Handler, inFlight func() int64) bool {
	h := wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("planted")
		}
	}))
	for _, path := range []string{"/", "/cancelled", "/panic"} {
		func() {
			defer func() { _ = recover() }()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if path == "/cancelled" {
				cancel()
			}
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil).WithContext(ctx))
		}()
		if inFlight() != 0 {
			return true
		}
	}
	return false
}

func TestNothingLeaks(t *testing.T) {
	m := must(t, Config{})
	if leaks(m.Handler, m.InFlight) {
		t.Error("the meter leaks")
	}
	var careless, hasty atomic.Int64
	for name, c := range map[string]struct {
		count *atomic.Int64
		wrap  func(http.Handler) http.Handler
	}{
		"without defer": {&careless, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				careless.Add(1)
				h.ServeHTTP(w, r)
				careless.Add(-1)
			})
		}},
		"not if it is cancelled": {&hasty, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				hasty.Add(1)
				defer func() {
					if r.Context().Err() == nil {
						hasty.Add(-1)
					}
				}()
				h.ServeHTTP(w, r)
			})
		}},
	} {
		if !leaks(c.wrap, c.count.Load) {
			t.Errorf("%s: the leak is not found", name)
		}
	}
}
