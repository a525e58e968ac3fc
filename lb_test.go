package lb_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-loadbalancer/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDial = &net.OpError{Op: "dial", Err: errors.New("connection refused")}

// backends is a function that stands for all backends.
type backends func(*http.Request) (*http.Response, error)

func (f backends) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// ok answers with the name of the backend that was asked.
func ok(r *http.Request) (*http.Response, error) { return respond(200, r.URL.Host), nil }

func respond(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)),
		Header: http.Header{"X-Backend": {body}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// balance returns a balancer over backends a, b and c, which all behave like send.
func balance(t *testing.T, send backends, cfg lb.Config) (*lb.Balancer, *lb.DynamicPool) {
	t.Helper()
	pool, err := lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Pool, cfg.Transport = pool, send
	if cfg.Policy == nil {
		cfg.Policy = turns
	}
	cfg.Hosts = append(cfg.Hosts, "shop")
	b, err := lb.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b, pool
}

// first picks the first backend again and again.
func first(s lb.Set) lb.Picker {
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend { return s.Eligible[0].Backend })
}

// inOrder picks the first backend that was not tried.
func inOrder(s lb.Set) lb.Picker {
	return lb.PickFunc(func(info lb.PickInfo) *lb.Backend {
		for _, c := range s.Eligible {
			if !info.Tried(c.Backend) {
				return c.Backend
			}
		}
		return nil
	})
}

// turns gives each backend a turn.
func turns(s lb.Set) lb.Picker {
	var turn atomic.Uint64
	return lb.PickFunc(func(lb.PickInfo) *lb.Backend {
		return s.Eligible[turn.Add(1)%uint64(len(s.Eligible))].Backend
	})
}

func serve(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func get(h http.Handler) *http.Response { return serve(h, httptest.NewRequest("GET", "/", nil)) }

// served counts who answers n requests; "" counts answers of our own.
func served(h http.Handler, n int) map[string]int {
	count := map[string]int{}
	for range n {
		count[get(h).Header.Get("X-Backend")]++
	}
	return count
}

func mustBeIdle(t *testing.T, b *lb.Balancer) {
	t.Helper()
	s := b.Status()
	if s.Active != 0 {
		t.Errorf("%d requests are active", s.Active)
	}
	for _, be := range s.Backends {
		if be.InFlight() != 0 {
			t.Errorf("%s has %d in flight", be.ID(), be.InFlight())
		}
		if n := be.Tally().Waiting(); n != 0 {
			t.Errorf("%s is waited for by %d requests", be.ID(), n)
		}
	}
}

// becomesIdle waits for requests that are just ending, without betting on how long that takes.
func becomesIdle(t *testing.T, b *lb.Balancer) {
	t.Helper()
	if err := b.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	mustBeIdle(t, b)
}

// gate is a breaker whose state a test sets.
type gate struct {
	fuse   bool // opens at the first failure
	state  atomic.Int32
	trial  atomic.Int64 // when Open: nanoseconds until the next trial
	deny   atomic.Bool
	done   atomic.Int64
	asked  atomic.Int64
	bad    atomic.Int64
	permit atomic.Uint64
}

func (g *gate) Allow() (lb.Permit, bool) {
	g.asked.Add(1)
	if g.deny.Load() || lb.BreakerState(g.state.Load()) == lb.Open {
		return 0, false
	}
	return lb.Permit(g.permit.Add(1)), true
}

func (g *gate) Done(_ lb.Permit, o lb.Outcome) {
	g.done.Add(1)
	if o == lb.Failure {
		g.bad.Add(1)
		if g.fuse {
			g.state.Store(int32(lb.Open))
		}
	}
}

func (g *gate) Status() (lb.BreakerState, time.Time) {
	return lb.BreakerState(g.state.Load()), time.Now().Add(time.Duration(g.trial.Load()))
}

// gates makes one gate for each backend and remembers it by ID.
type gates map[string]*gate

func (gs gates) make(b *lb.Backend) lb.Breaker {
	gs[b.ID()] = &gate{}
	gs[b.ID()].trial.Store(int64(time.Hour))
	return gs[b.ID()]
}

// fuse makes gates that open at the first failure.
func (gs gates) fuse(b *lb.Backend) lb.Breaker {
	g := gs.make(b)
	gs[b.ID()].fuse = true
	return g
}
