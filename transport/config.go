// Package transport is the way to the backends: an http.RoundTripper made for proxying. It
// follows no redirect, decodes no body, keeps no cookie and asks no proxy of the environment.
//
// The scheme of a request's URL chooses how a backend is spoken to: http is HTTP/1.1, https is
// HTTP/2 or HTTP/1.1 as TLS agrees, h2c is HTTP/2 without TLS, and unix is HTTP/1.1 over the
// socket whose path is the URL's host.
//
// There are two faces. RoundTrip is net/http's. Do is the direct one, for http and unix: it
// takes a description of a request and gives an Exchange, so that nothing is cloned on the way.
// Both run on the caller's goroutine: one more exists only while a request body above 16 KiB, or
// of unknown length, is sent.
//
// No backend is trusted. Whatever is not exactly one well-formed answer is an error, and its
// connection is never used again.
package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Config is how a Transport behaves. Zero fields take the default.
type Config struct {
	// DialTimeout bounds the making of a connection. Zero means 1s.
	DialTimeout time.Duration
	// TLSTimeout bounds a TLS handshake. Zero means 5s.
	TLSTimeout time.Duration
	// HeaderTimeout bounds the wait for a response's headers, counted from the end of the
	// request's body. Zero means no bound but the request's context.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time without progress of a body, either way. It is not a bound of
	// the whole: it also ends a stream, such as a gRPC call, in which nothing passes for as long.
	// Zero means 30s, negative none.
	BodyTimeout time.Duration
	// ContinueTimeout is how long a request that expects 100 Continue waits before it sends its
	// body unasked. Zero means 1s.
	ContinueTimeout time.Duration

	// IdleTimeout is how long a connection may be idle to be used again. It is closed then, or at
	// most an eighth later. Zero means 4s, which is less than the 5s after which some servers close
	// theirs (Node.js).
	IdleTimeout time.Duration
	// SafeIdle is how long ago a connection's last request may have been sent for it to be used for one
	// that is not idempotent: the backend may be about to close it, and such a request cannot be sent
	// twice. No backend has been idle for longer than that, however late we saw its answer.
	// A Keep-Alive: timeout=N of the backend lowers it to N-1 seconds. Zero means 1s, negative
	// that such requests always take a new connection. It is for http and unix.
	SafeIdle time.Duration
	// MaxIdle bounds the idle connections kept for each backend. Zero means 512.
	MaxIdle int
	// MaxAge bounds the life of a connection: past it no further request goes over it. Zero means
	// no bound. It is for http and unix.
	MaxAge time.Duration
	// MaxRequests bounds the requests of one connection. Zero means no bound. It is for http and unix.
	MaxRequests int

	// MaxConns bounds the connections to each backend, those that are being made and tunnels
	// included. Requests past it wait in the order they came. Zero means no bound. It is for http
	// and unix.
	MaxConns int
	// MaxQueued bounds the requests that wait for one of MaxConns, for each backend; one more fails
	// with ErrQueueFull. Zero means 1024, negative that none waits.
	MaxQueued int
	// QueueTimeout bounds that wait, which then fails with ErrQueueTimeout. Zero means 1s.
	QueueTimeout time.Duration

	// MaxHead bounds the bytes of a response's head. Zero means 64 KiB. It is for http and unix.
	MaxHead int
	// TLS is used for https, with ServerName set for each backend. Nil means Go's defaults.
	TLS *tls.Config
	// ProxyProtocol has each connection begin with a PROXY protocol header, version 2, that
	// carries the address given by WithClient. A connection then serves that one address only.
	// It is for http and unix.
	ProxyProtocol bool
}

// Transport is an http.RoundTripper. It keeps connections and is meant to be shared; all its
// methods may be called by many goroutines at once.
type Transport struct {
	cfg      Config
	variants sync.Map     // variant -> *client, for https and h2c
	splices  atomic.Int64 // splices under way
	buffers  buffers

	mu     sync.Mutex // for changes of pools
	closed atomic.Bool
	pools  atomic.Pointer[map[poolKey]*pool]
}

// New returns a Transport that has no connection yet.
func New(cfg Config) *Transport {
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, time.Second)
	cfg.TLSTimeout = cmp.Or(cfg.TLSTimeout, 5*time.Second)
	cfg.BodyTimeout = cmp.Or(cfg.BodyTimeout, 30*time.Second)
	cfg.ContinueTimeout = cmp.Or(cfg.ContinueTimeout, time.Second)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 4*time.Second)
	cfg.SafeIdle = cmp.Or(cfg.SafeIdle, time.Second)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 512)
	cfg.MaxQueued = cmp.Or(cfg.MaxQueued, 1024)
	cfg.QueueTimeout = cmp.Or(cfg.QueueTimeout, time.Second)
	cfg.MaxHead = cmp.Or(cfg.MaxHead, 64<<10)
	return &Transport{cfg: cfg}
}

type serverNameKey struct{}

// WithServerName returns a context whose https requests want a certificate for name, instead
// of one for the host of their URL.
func WithServerName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, serverNameKey{}, name)
}

type clientKey struct{}

// WithClient returns a context whose requests come from client. Config.ProxyProtocol tells
// backends so.
func WithClient(ctx context.Context, client netip.AddrPort) context.Context {
	return context.WithValue(ctx, clientKey{}, client)
}

// Direct reports whether Do speaks scheme.
func Direct(scheme string) bool { return scheme == "http" || scheme == "unix" }

// CloseIdleConnections closes the connections that carry no request now.
func (t *Transport) CloseIdleConnections() {
	for _, p := range t.allPools() {
		p.closeIdle(false)
	}
	t.closeIdleVariants()
}

// Close closes the idle connections and refuses further requests with ErrClosed. Requests
// under way go on, and their connections are closed after them.
func (t *Transport) Close() {
	t.mu.Lock() // a pool that is new now knows of it
	t.closed.Store(true)
	t.mu.Unlock()
	for _, p := range t.allPools() {
		p.closeIdle(true)
	}
	t.closeIdleVariants()
}
