package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/picker"
	"github.com/go-loadbalancer/lb/session"
)

// The kinds of proxy that this program is itself. All have the same server in front.
const (
	kindStandard = "standard"  // httputil.ReverseProxy, tuned: what all others are compared with
	kindBare     = "lb"        // this library, round robin
	kindSticky   = "lb-sticky" // with session cookies
	kindAll      = "lb-all"    // with session cookies, breakers, metrics, rate limit and PowerOfTwo
)

// listenProxy serves a proxy of that kind, on a free port and with TLS on another, until the process
// ends.
func listenProxy(kind string, addrs []string) ([]string, error) {
	if kind == kindRelay {
		return listenRelay(addrs)
	}
	handler, err := newProxy(kind, addrs)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	secure, err := listenTLS()
	if err != nil {
		return nil, err
	}
	for _, l := range []net.Listener{listener, secure} {
		go func() {
			fmt.Fprintln(os.Stderr, server.Serve(l))
			os.Exit(1)
		}()
	}
	return []string{listener.Addr().String(), secure.Addr().String()}, nil
}

func newProxy(kind string, addrs []string) (http.Handler, error) {
	switch kind {
	case kindStandard:
		return newStandard(addrs), nil
	case kindAnswer:
		return http.HandlerFunc(answering), nil
	case kindBound:
		return &bound{addrs: addrs}, nil
	}
	pool, err := lb.NewPool(lb.URLs(urls(addrs)...)...)
	if err != nil {
		return nil, err
	}
	cfg := lb.Config{Pool: pool, Policy: picker.RoundRobin}
	switch kind {
	case kindBare:
		return lb.New(cfg)
	case kindSticky:
		if cfg.SessionKey, err = session.NewCookie(session.CookieConfig{Pool: pool}); err != nil {
			return nil, err
		}
		return lb.New(cfg)
	case kindAll:
		return newAll(cfg)
	}
	return nil, fmt.Errorf("unknown kind of proxy %q", kind)
}

// newAll switches on what a busy installation would have: what the library's own tests call everything,
// less the traces. The rate limit is one that the load
// does not reach: what is measured is its bookkeeping.
func newAll(cfg lb.Config) (http.Handler, error) {
	var err error
	if cfg.SessionKey, err = session.NewCookie(session.CookieConfig{Pool: cfg.Pool}); err != nil {
		return nil, err
	}
	if cfg.Breakers, err = breaker.New(breaker.Config{}); err != nil {
		return nil, err
	}
	limiter, err := limit.New(limit.Config{Rate: 1_000_000})
	if err != nil {
		return nil, err
	}
	recorder := metrics.New(metrics.Config{Process: true})
	cfg.Policy = picker.PowerOfTwo
	cfg.Observers = []lb.Observer{recorder.Observer()}
	balancer, err := lb.New(cfg)
	if err != nil {
		return nil, err
	}
	export := recorder.Export(balancer, metrics.ExportConfig{})
	go func() { _ = lb.Run(context.Background(), export) }() // until the process ends
	return limiter.Wrap(balancer), nil
}

func urls(addrs []string) []string {
	out := make([]string, len(addrs))
	for i, addr := range addrs {
		out[i] = "http://" + addr
	}
	return out
}

// newStandard is httputil.ReverseProxy as somebody who has read its documentation and its issues
// would set it up: many idle connections, pooled buffers, no compression, round robin.
func newStandard(addrs []string) http.Handler {
	backends := make([]*url.URL, len(addrs))
	for i, addr := range addrs {
		backends[i] = &url.URL{Scheme: "http", Host: addr}
	}
	var next atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(backends[next.Add(1)%uint64(len(backends))])
			p.Out.Host = p.In.Host
			p.SetXForwarded()
		},
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 2048,
			IdleConnTimeout:     90 * time.Second,
			DisableCompression:  true,
		},
		BufferPool: new(buffers),
	}
}

// buffers is a BufferPool, without which a ReverseProxy allocates 32 KiB for each request.
type buffers struct{ sync.Pool }

// Get and Put make buffers an httputil.BufferPool.
func (p *buffers) Get() []byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put keeps a buffer for later.
func (p *buffers) Put(b []byte) { p.Pool.Put(&b) }
