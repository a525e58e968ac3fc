package health

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-loadbalancer/lb"
)

// service is how a backend of a world serves.
type service struct {
	latency time.Duration
	errors  float64       // share of plain 500s
	failing float64       // share of 503s
	hangs   chan struct{} // not nil: says nothing until it is closed
	served  atomic.Int64
}

// world is backends b00, b01, ... that are reached without a network, in a bubble of fake time.
type world struct {
	t        *testing.T
	pool     *lb.DynamicPool
	balancer *lb.Balancer
	timeout  time.Duration // of a backend's answer

	mu       sync.Mutex
	rng      *rand.Rand
	services map[string]*service // by URL host
	failed   atomic.Int64        // requests
	flying   sync.WaitGroup
}

func newWorld(t *testing.T, n int, policy lb.Policy, observers ...lb.Observer) *world {
	w := &world{t: t, pool: newPool(t, n), services: map[string]*service{}, rng: rand.New(rand.NewPCG(1, 2)), timeout: 2 * time.Second}
	for i := range n {
		w.services[w.pool.Snapshot().At(i).URL().Host] = &service{latency: 5 * time.Millisecond}
	}
	w.balancer = lb.Must(lb.New(lb.Config{Pool: w.pool, Policy: policy, Transport: w, Hosts: []string{"app"}, Observers: observers}))
	return w
}

// of returns how backend i serves; change it under w.mu.
func (w *world) of(i int) *service { return w.services[w.pool.Snapshot().At(i).URL().Host] }

func (w *world) change(i int, f func(*service)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.of(i))
}

// RoundTrip answers for the backend that r is for. The path /poll takes ten seconds.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	s := w.services[r.URL.Host]
	latency, hangs, draw, u := s.latency, s.hangs, w.rng.Float64(), w.rng.Float64()
	errs, failing := s.errors, s.failing
	w.mu.Unlock()
	s.served.Add(1)
	if r.URL.Path == "/poll" {
		latency = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(r.Context(), max(w.timeout, 2*latency))
	defer cancel()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	timer := time.NewTimer(time.Duration(float64(latency) * (0.5 + u)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok"))}
	switch {
	case draw < failing:
		resp.StatusCode = 503
	case draw < failing+errs:
		resp.StatusCode = 500
	}
	return resp, nil
}

// send sends so many requests a second for a while, each on its own goroutine.
func (w *world) send(rate int, d time.Duration, path string) {
	for range int(float64(rate) * d.Seconds()) {
		w.flying.Go(func() { w.get(path) })
		time.Sleep(time.Second / time.Duration(rate))
	}
}

func (w *world) get(path string) {
	req, _ := http.NewRequest("GET", "http://app"+path, nil)
	resp, err := w.balancer.RoundTrip(req)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			w.failed.Add(1)
		}
		return
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
}
