package lbtest_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/lbtest"
)

// poolFunc lets a function be a pool.
type poolFunc func() *lb.Snapshot

func (f poolFunc) Snapshot() *lb.Snapshot { return f() }

func of(specs ...lb.Spec) *lb.Snapshot { return lb.Must(new(lb.Snapshot).With(specs...)) }

func TestPoolMutants(t *testing.T) {
	a, b := of(lb.Spec{ID: "a", URL: "http://a"}), of(lb.Spec{ID: "b", URL: "http://b"})
	var current atomic.Pointer[lb.Snapshot]
	current.Store(a)
	renewing := func() *lb.Snapshot { return of(lb.Spec{ID: "a", URL: "http://a"}) }
	var calls atomic.Int64
	flapping := func() *lb.Snapshot { return []*lb.Snapshot{a, b}[calls.Add(1)%2] }
	edited := of(lb.Spec{ID: "a", URL: "http://a"})
	for name, c := range map[string]struct {
		pool      lb.Pool
		change    func()
		complaint string
	}{
		"nil pool":            {nil, func() {}, "the pool is nil"},
		"nil snapshot":        {poolFunc(func() *lb.Snapshot { return nil }), func() {}, "the snapshot is nil"},
		"made anew each time": {poolFunc(renewing), func() {}, "Snapshot returns one pointer after the other"},
		"it cannot decide":    {poolFunc(flapping), func() {}, "Snapshot returns one pointer after the other"},
		"no news":             {poolFunc(current.Load), func() { current.Store(of(lb.Spec{ID: "a", URL: "http://a"})) }, "after change 1 of 1: all is as it was, and there is a new snapshot"},
		"edited in place":     {poolFunc(func() *lb.Snapshot { return edited }), func() { *edited = *b }, "the snapshot that was there before has changed"},
		"a change panics":     {poolFunc(func() *lb.Snapshot { return a }), func() { panic("no") }, "after change 1 of 1: panics: no"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "edited in place" && racing {
				t.Skip("the race detector complains first")
			}
			current.Store(a)
			complains(t, lbtest.TestPool(c.pool, c.change), c.complaint)
		})
	}
}

// An observer that sends a copy of each request to see what comes, and forgets the answer.
func mirroring(b **lb.Balancer) lb.Observer {
	type copied struct{}
	return lb.Observer{Request: func(s lb.Summary) {
		if s.Request.Context().Value(copied{}) != nil {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "lbtest", Path: "/"}, Header: make(http.Header)}
		_, _ = (*b).RoundTrip(r.WithContext(context.WithValue(context.Background(), copied{}, true)))
	}}
}

// swallowing is a transport that turns what cannot be read into an endless wait for nobody.
type swallowing struct{ http.RoundTripper }

func (s swallowing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = io.NopCloser(resp.Body)
	}
	return resp, err
}

func TestBalancerMutants(t *testing.T) {
	cfg := func(transport http.RoundTripper) lb.Config {
		return lb.Config{
			Pool:      lb.Must(lb.NewPool(lb.URLs("http://a", "http://b")...)),
			Policy:    pure(uniform),
			Hosts:     []string{"lbtest"},
			Transport: transport,
		}
	}
	for name, c := range map[string]struct {
		fresh     func(http.RoundTripper) (*lb.Balancer, error)
		complaint string
	}{
		"right": {func(tr http.RoundTripper) (*lb.Balancer, error) { return lb.New(cfg(swallowing{tr})) }, ""},
		"a leaked place": {func(tr http.RoundTripper) (b *lb.Balancer, err error) {
			with := cfg(tr)
			with.Observers = []lb.Observer{mirroring(&b)}
			b, err = lb.New(with)
			return b, err
		}, "requests in flight, although all have ended"},
		"nobody answers": {func(tr http.RoundTripper) (*lb.Balancer, error) {
			with := cfg(tr)
			with.Policy = func(lb.Set) lb.Picker { return nil }
			return lb.New(with)
		}, "2 backends are available, and a simple request gets status 503"},
		"no balancer": {func(http.RoundTripper) (*lb.Balancer, error) { return lb.New(lb.Config{}) }, "Config.Pool is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			err := lbtest.TestBalancer(c.fresh)
			if c.complaint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			complains(t, err, c.complaint)
		})
	}
}
