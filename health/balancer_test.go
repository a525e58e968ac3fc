package health

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-loadbalancer/lb"
)

// rotate is the plainest policy there is.
func rotate(s lb.Set) lb.Picker {
	var n atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[n.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

// fleet is a set of backends that a balancer and a checker reach without a network.
type fleet struct {
	requests, checks sync.Map // by URL host: *atomic.Bool, whether they fail
	failed           atomic.Int64
}

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	kind := &f.requests
	if r.URL.Path == "/health" {
		kind = &f.checks
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}
	if fails, ok := kind.Load(r.URL.Host); ok && fails.(*atomic.Bool).Load() {
		resp.StatusCode = 503
		if kind == &f.requests {
			f.failed.Add(1)
		}
	}
	return resp, nil
}

func (f *fleet) fail(kind *sync.Map, host string, fails bool) {
	v, _ := kind.LoadOrStore(host, new(atomic.Bool))
	v.(*atomic.Bool).Store(fails)
}

// site is a fleet of four with a balancer, 10.0.0.1 to 10.0.0.4, and both runners at work.
type site struct {
	fleet
	t        *testing.T
	pool     *lb.DynamicPool
	balancer *lb.Balancer
}

// open returns a site that works until the returned function is called.
func open(t *testing.T) (s *site, stop func()) {
	s = &site{t: t, pool: newPool(t, 4)}
	checker := lb.Must(New(Config{Pool: s.pool, Probe: lb.Must(HTTP(HTTPConfig{Path: "/health", Transport: s})), Jitter: -1}))
	ejector := lb.Must(NewEjector(EjectorConfig{Pool: s.pool}))
	s.balancer = lb.Must(lb.New(lb.Config{Pool: s.pool, Policy: rotate, Transport: s, Hosts: []string{"app"}, Observers: []lb.Observer{ejector.Observer()}}))
	stopChecker, stopEjector := run(t, checker), run(t, ejector)
	time.Sleep(50 * time.Millisecond) // so that no request comes at the moment when Run looks
	return s, func() {
		stopChecker()
		stopEjector()
	}
}

// send sends ten requests per second, and returns how many of them failed on backends.
func (s *site) send(d time.Duration) int64 {
	before := s.failed.Load()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		req, _ := http.NewRequest("GET", "http://app/", nil)
		resp, err := s.balancer.RoundTrip(req)
		if err != nil {
			s.t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return s.failed.Load() - before
}

// TestOneGone has a backend fail requests and checks: five requests find out, then the checks
// agree, until it is well again.
func TestOneGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := open(t)
		defer stop()
		if got := s.send(time.Minute); got != 0 || letters(s.pool) != "...." {
			t.Errorf("in peace: %d failed, %s", got, letters(s.pool))
		}
		s.fail(&s.requests, "10.0.0.2", true)
		s.fail(&s.checks, "10.0.0.2", true)
		if got := s.send(5 * time.Second); got != 5 || letters(s.pool) != ".e.." {
			t.Errorf("one gone: %d failed, %s", got, letters(s.pool))
		}
		if got := s.send(10 * time.Minute); got > 5*4 || letters(s.pool)[1] == '.' {
			t.Errorf("one gone for minutes: %d failed, %s", got, letters(s.pool))
		}
		s.fail(&s.requests, "10.0.0.2", false)
		s.fail(&s.checks, "10.0.0.2", false)
		s.send(30 * time.Second)
		if got := letters(s.pool); got != "...." {
			t.Errorf("well again: %s", got)
		}
	})
}

// TestAllFail has all backends fail their requests: half of them stay to be tried, and all are
// back soon after.
func TestAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stop := open(t)
		defer stop()
		for i := range 4 {
			s.fail(&s.requests, fmt.Sprintf("10.0.0.%d", 1+i), true)
		}
		s.send(8 * time.Second)
		if got := strings.Count(letters(s.pool), "e"); got != 2 {
			t.Errorf("all fail: %s", letters(s.pool))
		}
		for i := range 4 {
			s.fail(&s.requests, fmt.Sprintf("10.0.0.%d", 1+i), false)
		}
		s.send(31 * time.Second)
		if got := letters(s.pool); got != "...." {
			t.Errorf("all are well again: %s", got)
		}
	})
}

// TestNoFlapping has a backend that passes all checks and fails all requests. Without growing
// patience it would come back each 20 s and spoil 5 requests: 900 in an hour.
func TestNoFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := newPool(t, 3)
		probe := func(context.Context, *lb.Backend) error { return nil }
		checker := lb.Must(New(Config{Pool: pool, Probe: probe}))
		ejector := lb.Must(NewEjector(EjectorConfig{Pool: pool}))
		stopChecker, stopEjector := run(t, checker), run(t, ejector)
		failed, longest := 0, time.Duration(0)
		for end, last := time.Now().Add(time.Hour), time.Now(); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if pool.Snapshot().At(0).Facts().Fit() {
				tell(ejector, pool, "b00", "F")
				failed++
				longest, last = max(longest, time.Since(last)), time.Now()
			}
		}
		if failed > 150 || longest < 200*time.Second {
			t.Errorf("%d requests failed in an hour, it was out for at most %v", failed, longest)
		}
		stopChecker()
		stopEjector()
	})
}
