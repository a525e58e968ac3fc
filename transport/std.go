package transport

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// variant is what connections of https and h2c are told apart by, besides their address.
type variant struct{ scheme, serverName string }

// standard sends a request by net/http's own transport.
func (t *Transport) standard(req *http.Request) (*http.Response, error) {
	v := variant{scheme: req.URL.Scheme}
	if v.scheme == "https" {
		v.serverName, _ = req.Context().Value(serverNameKey{}).(string)
	}
	facts := &sending{}
	resp, err := t.variant(v).RoundTrip(facts.aim(req))
	if err != nil {
		return nil, facts.wrap(req.Context(), err)
	}
	resp.Request = req
	if _, tunnel := resp.Body.(io.Writer); !tunnel && resp.Body != http.NoBody {
		resp.Body = &stdBody{ReadCloser: resp.Body, facts: facts, ctx: req.Context()}
	}
	return resp, nil
}

// sending is what is known about a request that net/http sends.
type sending struct {
	connected atomic.Bool // a connection was chosen for it
	broken    atomic.Bool // its body failed
}

// aim returns a shallow copy of req for net/http, which knows no scheme h2c.
func (s *sending) aim(req *http.Request) *http.Request {
	out := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { s.connected.Store(true) },
	}))
	if req.URL.Scheme == "h2c" {
		u := *req.URL
		u.Scheme = "http"
		out.URL, out.Host = &u, cmp.Or(req.Host, req.URL.Host)
	}
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = &watchedBody{req.Body, s}
	}
	return out
}

// wrap says what is known about the bytes of a request that failed without an answer.
func (s *sending) wrap(ctx context.Context, err error) error {
	e := &Error{Stage: NothingSent, Client: s.broken.Load() || ctx.Err() != nil, Err: err}
	if s.connected.Load() {
		e.Stage = NoAnswer
	}
	return e
}

// watchedBody notes that a request's body failed, which is the client's fault.
type watchedBody struct {
	io.ReadCloser
	facts *sending
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.facts.broken.Store(true)
	}
	return n, err
}

// stdBody tells of a response's body that broke off.
type stdBody struct {
	io.ReadCloser
	facts *sending
	ctx   context.Context
}

func (b *stdBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		err = &Error{Stage: BrokenOff, Client: b.facts.broken.Load() || b.ctx.Err() != nil, Err: err}
	}
	return n, err
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
		ExpectContinueTimeout:  t.cfg.ContinueTimeout,
		IdleConnTimeout:        t.cfg.IdleTimeout,
		MaxIdleConnsPerHost:    t.cfg.MaxIdle,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		Protocols:              new(http.Protocols),
	}
	if v.scheme == "h2c" {
		made.Protocols.SetUnencryptedHTTP2(true)
		return made
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

func (t *Transport) closeIdleVariants() {
	t.variants.Range(func(_, made any) bool {
		made.(*http.Transport).CloseIdleConnections()
		return true
	})
}
