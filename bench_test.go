package lb_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/picker"
)

// sink is a ResponseWriter that keeps nothing.
type sink struct{ h http.Header }

func (s sink) Header() http.Header         { return s.h }
func (s sink) Write(p []byte) (int, error) { return len(p), nil }
func (s sink) WriteHeader(int)             {}

// pooled is a BufferPool, without which a ReverseProxy allocates 32 KiB for each request.
type pooled struct{ sync.Pool }

func (p *pooled) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

func (p *pooled) Put(b []byte) { p.Pool.Put(&b) }

// BenchmarkServeHTTP is a pair: what a request costs through a bare ReverseProxy with pooled buffers, and
// through a balancer, with backends that answer at once and without a network. The difference is ours.
func BenchmarkServeHTTP(b *testing.B) {
	send := backends(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
	})
	target, _ := url.Parse("http://a")
	bare := &httputil.ReverseProxy{BufferPool: new(pooled), Transport: send, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() }}
	pool := lb.Must(lb.NewPool(lb.URLs("http://a", "http://b", "http://c")...))
	plain := lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo, Transport: send}))
	full := lb.Must(lb.New(lb.Config{
		Pool: pool, Policy: picker.PowerOfTwo, Transport: send, SessionKey: key{true}, Sessions: store{},
		Breakers:  func(*lb.Backend) lb.Breaker { return &gate{} },
		Observers: []lb.Observer{{Attempt: func(lb.Result) {}, Request: func(lb.Summary) {}}},
	}))
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"ReverseProxy", bare}, {"Balancer", plain}, {"BalancerAll", full}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest("GET", "/path?q", nil)
				r.Header.Set("X-Key", "s@http://b")
				c.h.ServeHTTP(sink{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkLoopback is the same pair over real sockets, one request at a time.
func BenchmarkLoopback(b *testing.B) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer origin.Close()
	target, _ := url.Parse(origin.URL)
	pool := lb.Must(lb.NewPool(lb.URLs(origin.URL)...))
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"ReverseProxy", &httputil.ReverseProxy{BufferPool: new(pooled), Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.SetXForwarded() }}},
		{"Balancer", lb.Must(lb.New(lb.Config{Pool: pool, Policy: picker.PowerOfTwo}))},
	} {
		b.Run(c.name, func(b *testing.B) {
			front := httptest.NewServer(c.h)
			defer front.Close()
			client := front.Client()
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(front.URL)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
