package lb_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/transport"
)

// A backend closes idle connections just when the next POST would use them. None is executed
// twice, and none fails: what cannot be sent again goes over a connection that is surely alive.
func TestPostsRaceIdleTimeouts(t *testing.T) {
	leavesNothing(t)
	const clients, each = 8, 250 // few, so that nobody is starved for 24 ms
	ran := &executed{times: map[string]int{}}
	backend := httptest.NewUnstartedServer(ran)
	backend.Config.IdleTimeout = 24 * time.Millisecond
	backend.Start()
	t.Cleanup(backend.Close)
	var failed, seen sync.Map
	var all sync.WaitGroup
	for c := range clients { // each has a balancer, and so a connection, of its own
		all.Go(func() {
			tr := transport.New(transport.Config{SafeIdle: 10 * time.Millisecond})
			defer tr.CloseIdleConnections()
			b := lb.Must(lb.New(lb.Config{Pool: lb.Must(lb.NewPool(lb.URLs(backend.URL)...)), Policy: turns, Transport: tr}))
			cadence := time.NewTicker(24*time.Millisecond + time.Duration(c%3)*500*time.Microsecond)
			defer cadence.Stop()
			for n := range each {
				id := fmt.Sprintf("/%d/%d", c, n)
				w := httptest.NewRecorder()
				b.ServeHTTP(w, httptest.NewRequest("POST", id, strings.NewReader("x")))
				if seen.Store(id, w.Code); w.Code != http.StatusOK {
					failed.Store(id, w.Code)
				}
				<-cadence.C
			}
			mustBeIdle(t, b)
		})
	}
	all.Wait()
	failures := 0
	failed.Range(func(id, status any) bool {
		failures++
		if newEngine {
			t.Errorf("%v failed with %v, executed %d times", id, status, ran.count(id.(string)))
		}
		return true
	})
	t.Logf("%d of %d failed", failures, clients*each)
	seen.Range(func(id, status any) bool {
		if n := ran.count(id.(string)); n > 1 || n == 0 && status == http.StatusOK {
			t.Errorf("%v was executed %d times and answered %v", id, n, status)
		}
		return true
	})
}

// executed counts what a backend was asked to do.
type executed struct {
	mu    sync.Mutex
	times map[string]int
}

func (e *executed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times[r.URL.Path]++
}

func (e *executed) count(id string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.times[id]
}
