package tracing

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-loadbalancer/lb"
)

// known is a backend that was met: where it is, and with which options its spans start.
type known struct {
	url   *url.URL
	start []trace.SpanStartOption
}

func (t *tracer) attemptStart(ctx context.Context, info lb.AttemptInfo, h http.Header) context.Context {
	r := info.Request
	ctx, span := t.Start(ctx, spanName(r.Method), t.options(info.Backend)...)
	if span.IsRecording() {
		attrs := append(methodAttributes(r.Method), urlFull.String(full(info.Backend.URL(), r.URL)), lbAttempt.Int(info.Attempt))
		if info.Attempt > 0 {
			attrs = append(attrs, httpRequestResendCount.Int(info.Attempt))
		}
		span.SetAttributes(attrs...)
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if addr := got.Conn.RemoteAddr(); addr != nil {
				span.SetAttributes(peer(addr.String())...)
			}
		}})
	}
	for _, field := range t.fields {
		h.Del(field) // an old one must not stay beside ours
	}
	t.propagator.Inject(ctx, propagation.HeaderCarrier(h))
	return context.WithValue(ctx, attemptKey{t}, span)
}

// attempted ends an attempt's span.
func (t *tracer) attempted(res lb.Result) {
	span, ok := res.Request.Context().Value(attemptKey{t}).(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if res.Status != 0 {
		span.SetAttributes(httpResponseStatusCode.Int(res.Status))
	}
	if res.Status == 0 && res.Err == nil {
		finish(span, true, 0, "panic", nil) // the transport's
		return
	}
	failed := res.Status >= http.StatusBadRequest || res.Reason != "" && res.Outcome != lb.Neutral
	finish(span, failed, res.Status, res.Reason, res.Err)
}

// changed keeps known to the backends that are there.
func (t *tracer) changed(c lb.Change) {
	if !c.Joined && !c.Removed {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	next := maps.Clone(*t.known.Load())
	if c.Removed {
		delete(next, c.Backend.ID())
	} else {
		next[c.Backend.ID()] = describe(c.Backend)
	}
	t.known.Store(&next)
}

// options returns what b's spans start with. For a backend that is not known, or not as it is,
// they are made anew.
func (t *tracer) options(b *lb.Backend) []trace.SpanStartOption {
	k, ok := (*t.known.Load())[b.ID()]
	if !ok || k.url != b.URL() && *k.url != *b.URL() {
		k = describe(b)
	}
	return k.start
}

func describe(b *lb.Backend) known {
	u := b.URL()
	attrs := []attribute.KeyValue{lbBackendID.String(text(b.ID())), serverAddress.String(text(address(u)))}
	if n, err := strconv.Atoi(port(u)); err == nil {
		attrs = append(attrs, serverPort.Int(n))
	}
	return known{url: u, start: []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...),
	}}
}

// address returns a backend's name or address, or the path of its socket.
func address(u *url.URL) string {
	if u.Scheme == "unix" {
		return u.Host
	}
	return u.Hostname()
}

// port returns a backend's port, or "" for a socket.
func port(u *url.URL) string {
	switch {
	case u.Scheme == "unix":
		return ""
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// full returns where a request goes, as it would stand in a browser: below a backend's URL.
func full(backend, asked *url.URL) string {
	s := "http://" + backend.Host
	switch backend.Scheme {
	case "https":
		s = "https://" + backend.Host
	case "unix":
		s = "http://localhost" // the socket is in server.address
	}
	s += strings.TrimSuffix(backend.EscapedPath(), "/") + "/" + strings.TrimPrefix(asked.EscapedPath(), "/")
	if asked.RawQuery != "" {
		s += "?" + redact(text(asked.RawQuery))
	}
	return text(s)
}
