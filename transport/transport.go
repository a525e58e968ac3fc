// Package transport is the way to the backends: an http.RoundTripper made for proxying. It
// follows no redirect, decodes no body, keeps no cookie and asks no proxy of the environment.
//
// The scheme of a request's URL chooses how a backend is spoken to: http is HTTP/1.1, https is
// HTTP/2 or HTTP/1.1 as TLS agrees, h2c is HTTP/2 without TLS, and unix is HTTP/1.1 over the
// socket whose path is the URL's host.
package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
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
	// IdleTimeout is how long a connection is kept without a request. Zero means 4s, which is
	// less than the 5s after which some servers close theirs (Node.js).
	IdleTimeout time.Duration
	// MaxIdle bounds the idle connections kept for each backend. Zero means 512.
	MaxIdle int
	// TLS is used for https, with ServerName set for each backend. Nil means Go's defaults.
	TLS *tls.Config
}

// Transport is an http.RoundTripper. It keeps connections and is meant to be shared; all its
// methods may be called by many goroutines at once.
type Transport struct {
	cfg      Config
	variants sync.Map // variant -> *http.Transport
}

// variant is what connections are told apart by, besides their address.
type variant struct{ scheme, serverName string }

// New returns a Transport that has no connection yet.
func New(cfg Config) *Transport {
	cfg.DialTimeout = cmp.Or(cfg.DialTimeout, time.Second)
	cfg.TLSTimeout = cmp.Or(cfg.TLSTimeout, 5*time.Second)
	cfg.IdleTimeout = cmp.Or(cfg.IdleTimeout, 4*time.Second)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 512)
	return &Transport{cfg: cfg}
}

type serverNameKey struct{}

// WithServerName returns a context whose https requests want a certificate for name, instead
// of one for the host of their URL.
func WithServerName(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, serverNameKey{}, name)
}

// RoundTrip sends one request. It is http.RoundTripper's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	v := variant{scheme: req.URL.Scheme}
	switch v.scheme {
	case "http", "https":
		v.scheme = "http" // one pool for both
		v.serverName, _ = req.Context().Value(serverNameKey{}).(string)
		return t.variant(v).RoundTrip(req)
	case "h2c":
		return t.variant(v).RoundTrip(aim(req, req.URL.Host))
	case "unix":
		return t.variant(v).RoundTrip(aim(req, hex.EncodeToString([]byte(req.URL.Host))))
	}
	if req.Body != nil {
		req.Body.Close()
	}
	return nil, fmt.Errorf("transport: scheme %q is none of http, https, h2c and unix", v.scheme)
}

// aim returns a shallow copy of req for net/http, which knows no other scheme than http.
func aim(req *http.Request, host string) *http.Request {
	out := *req
	u := *req.URL
	u.Scheme, u.Host = "http", host
	out.URL = &u
	out.Host = cmp.Or(req.Host, "localhost")
	if req.URL.Scheme != "unix" {
		out.Host = cmp.Or(req.Host, host)
	}
	return &out
}

// CloseIdleConnections closes the connections that carry no request now.
func (t *Transport) CloseIdleConnections() {
	t.variants.Range(func(_, made any) bool {
		made.(*http.Transport).CloseIdleConnections()
		return true
	})
}

// variant returns the transport for v and makes it when v is new. Their number is bounded by
// that of the configured backends.
func (t *Transport) variant(v variant) *http.Transport {
	if made, ok := t.variants.Load(v); ok {
		return made.(*http.Transport)
	}
	made, _ := t.variants.LoadOrStore(v, t.build(v))
	return made.(*http.Transport)
}

func (t *Transport) build(v variant) *http.Transport {
	dialer := &net.Dialer{Timeout: t.cfg.DialTimeout, KeepAlive: 15 * time.Second}
	made := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    t.cfg.TLSTimeout,
		ResponseHeaderTimeout:  t.cfg.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        t.cfg.IdleTimeout,
		MaxIdleConnsPerHost:    t.cfg.MaxIdle,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		Protocols:              new(http.Protocols),
	}
	switch v.scheme {
	case "h2c":
		made.Protocols.SetUnencryptedHTTP2(true)
		return made
	case "unix":
		made.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
			path, _ := hex.DecodeString(strings.TrimSuffix(addr, ":80"))
			return dialer.DialContext(ctx, "unix", string(path))
		}
	}
	made.Protocols.SetHTTP1(true)
	made.Protocols.SetHTTP2(true)
	if t.cfg.TLS != nil || v.serverName != "" {
		made.TLSClientConfig = t.cfg.TLS.Clone()
		if made.TLSClientConfig == nil {
			made.TLSClientConfig = new(tls.Config)
		}
		made.TLSClientConfig.ServerName = cmp.Or(v.serverName, made.TLSClientConfig.ServerName)
	}
	return made
}
