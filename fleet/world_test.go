package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/health"
)

// world is some balancers before the same backends, of which some go bad.
type world struct {
	t        *testing.T
	backends int
	bad      sync.Map // by host: how, "errors", "hangs" or "slow"
	failed   atomic.Int64
	balancer []*lb.Balancer
	pools    []*lb.DynamicPool
	fleets   []*Fleet
	breakers bool // in place of the ejectors
	ctx      context.Context
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	how, _ := w.bad.Load(r.URL.Host)
	wait, code := 2*time.Millisecond, 200
	switch how {
	case "errors":
		code = 503
	case "flaky":
		if rand.IntN(20) == 0 {
			code = 503
		}
	case "slow":
		wait = time.Second
	case "hangs":
		wait = 2 * time.Second
	}
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if how == "hangs" {
		return nil, errors.New("no answer in time")
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// random picks at random, by the draw that comes with the request.
func random(s lb.Set) lb.Picker {
	return lb.PickFunc(func(i lb.PickInfo) *lb.Backend { return s.Eligible[i.Rand%uint64(len(s.Eligible))].Backend })
}

// join adds an instance that runs, with a fleet if there is a way to it.
func (w *world) join(open func(Config) (bus, error)) {
	var specs []lb.Spec
	for i := range w.backends {
		specs = append(specs, lb.Spec{ID: fmt.Sprintf("b%d", i), URL: fmt.Sprintf("http://b%d", i)})
	}
	pool := lb.Must(lb.NewPool(specs...))
	cfg := lb.Config{Pool: pool, Policy: random, Retries: -1, Transport: w}
	suspector := lb.Must(health.NewSuspector(health.SuspectorConfig{Pool: pool}))
	runners := []lb.Runner{suspector}
	if w.breakers {
		cfg.Breakers = lb.Must(breaker.New(breaker.Config{Slow: 500 * time.Millisecond}))
	} else {
		ejector := lb.Must(health.NewEjector(health.EjectorConfig{Pool: pool}))
		cfg.Observers = append(cfg.Observers, ejector.Observer())
		runners = append(runners, ejector)
	}
	if open != nil {
		own := Config{Pool: pool, URL: "redis://127.0.0.1:1", Secret: secret}
		if w.breakers {
			own.Slow = 500 * time.Millisecond
		}
		f := lb.Must(New(own))
		f.open = open
		cfg.Observers = append(cfg.Observers, f.Observer())
		runners = append(runners, f)
		w.fleets = append(w.fleets, f)
	}
	w.balancer = append(w.balancer, lb.Must(lb.New(cfg)))
	w.pools = append(w.pools, pool)
	w.done.Go(func() {
		if err := lb.Run(w.ctx, runners...); err != nil {
			w.t.Error(err)
		}
	})
}

func newWorld(t *testing.T, backends, instances int, breakers bool, open func(Config) (bus, error)) *world {
	w := &world{t: t, backends: backends, breakers: breakers}
	ctx, cancel := context.WithCancel(t.Context())
	w.ctx, w.cancel = ctx, cancel
	for range instances {
		w.join(open)
	}
	return w
}

func (w *world) end() {
	w.cancel()
	w.done.Wait()
}

// serve has so many requests a second come for d, each at any of the balancers, and returns how many
// failed, or took longer than half a second, of those.
func (w *world) serve(rate int, d time.Duration, rnd *rand.Rand) int {
	before := w.failed.Load()
	gap := time.Second / time.Duration(rate)
	var wg sync.WaitGroup
	for range int(d / gap) {
		b := w.balancer[rnd.IntN(len(w.balancer))]
		wg.Go(func() {
			began, rec := time.Now(), httptest.NewRecorder()
			b.ServeHTTP(rec, httptest.NewRequest("GET", "http://x/", nil))
			if rec.Code >= 500 || time.Since(began) > 500*time.Millisecond {
				w.failed.Add(1)
			}
		})
		time.Sleep(gap)
	}
	wg.Wait()
	return int(w.failed.Load() - before)
}

// outAt counts the instances that keep a backend out, for whatever reason.
func (w *world) outAt(id string) (n int) {
	for i, p := range w.pools {
		st := w.balancer[i].Status()
		for _, b := range st.Backends {
			if b.ID() == id && (!p.Snapshot().Find(id).Facts().Fit() || b.Breaker != lb.Closed) {
				n++
			}
		}
	}
	return n
}
