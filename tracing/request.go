package tracing

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/clientip"
)

// tracer is what the observer's functions share.
type tracer struct {
	trace.Tracer
	propagator       propagation.TextMapPropagator
	fields           []string // the headers it writes
	untrusted        bool
	proxies          clientip.Proxies
	server, internal []trace.SpanStartOption

	mu    sync.Mutex                       // serialises writers of known
	known atomic.Pointer[map[string]known] // by backend ID; a map is never changed
}

// The spans are kept in contexts under keys of their tracer, since others may put spans there,
// too.
type (
	requestKey struct{ *tracer }
	attemptKey struct{ *tracer }
)

func (t *tracer) requestStart(ctx context.Context, r *http.Request) context.Context {
	ctx, options := t.parent(ctx, r)
	ctx, span := t.Start(ctx, spanName(r.Method), options...)
	if span.IsRecording() {
		span.SetAttributes(t.requestAttributes(r)...)
	}
	return context.WithValue(ctx, requestKey{t}, span)
}

// parent returns what the span for a request starts with: the context that its parent is in, and
// its options.
func (t *tracer) parent(ctx context.Context, r *http.Request) (context.Context, []trace.SpanStartOption) {
	served := r.RequestURI != "" // which a request that the program made must not have
	from := ctx
	if !trace.SpanContextFromContext(ctx).IsValid() {
		from = t.propagator.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	caller := trace.SpanContextFromContext(from)
	switch {
	case !served, caller.IsValid() && !caller.IsRemote():
		return from, t.internal
	case !t.untrusted:
		return from, t.server
	case !caller.IsValid():
		return ctx, t.server
	}
	root := trace.WithLinks(trace.Link{SpanContext: caller})
	return ctx, []trace.SpanStartOption{t.server[0], trace.WithNewRoot(), root}
}

// requested ends a request's span.
func (t *tracer) requested(s lb.Summary) {
	span, ok := s.Request.Context().Value(requestKey{t}).(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if s.Status != 0 && s.Status != lb.StatusClientClosed {
		span.SetAttributes(httpResponseStatusCode.Int(s.Status))
	}
	if s.Backend != nil {
		span.SetAttributes(lbBackendID.String(text(s.Backend.ID())))
	}
	if s.Explanation != nil {
		span.SetAttributes(lbExplanation.String(text(s.Explanation.String())))
	}
	finish(span, s.Status >= http.StatusInternalServerError || !clients(s.Reason), s.Status, s.Reason, s.Err)
}

// explains reports whether a request's span is recorded, and can say more.
func (t *tracer) explains(r *http.Request) bool {
	span, ok := r.Context().Value(requestKey{t}).(trace.Span)
	return ok && span.IsRecording()
}

// clients reports whether it was the client's doing that a request ended as it did.
func clients(reason string) bool {
	switch reason {
	case "", "client", "canceled", "upload", "method":
		return true
	}
	return false
}

// finish sets how a span's work ended, if it failed or for whatever reason did not succeed.
func finish(span trace.Span, failed bool, status int, reason string, err error) {
	if reason != "" {
		span.SetAttributes(lbReason.String(reason))
	}
	if !failed {
		return
	}
	if reason == "" || reason == "status" {
		reason = strconv.Itoa(status)
	}
	span.SetAttributes(errorType.String(reason))
	words := ""
	if err != nil {
		words = text(err.Error())
	}
	span.SetStatus(codes.Error, words)
}

func (t *tracer) requestAttributes(r *http.Request) []attribute.KeyValue {
	attrs := append(methodAttributes(r.Method), urlScheme.String(scheme(r)), urlPath.String(text(r.URL.Path)))
	if r.URL.RawQuery != "" {
		attrs = append(attrs, urlQuery.String(redact(text(r.URL.RawQuery))))
	}
	if agent := r.UserAgent(); agent != "" {
		attrs = append(attrs, userAgentOriginal.String(text(agent)))
	}
	attrs = append(attrs, destination(r)...)
	if r.RequestURI == "" {
		return attrs
	}
	attrs = append(attrs, networkProtocolVersion.String(version(r)))
	if client := t.proxies.Client(clientip.Peer(r), r.Header); client.IsValid() {
		attrs = append(attrs, clientAddress.String(client.String()))
	}
	return append(attrs, peer(r.RemoteAddr)...)
}

// destination says which name and port was asked for.
func destination(r *http.Request) []attribute.KeyValue {
	asked := r.Host
	if asked == "" {
		asked = r.URL.Host
	}
	name, port, err := net.SplitHostPort(asked)
	if err != nil {
		return []attribute.KeyValue{serverAddress.String(text(asked))}
	}
	attrs := []attribute.KeyValue{serverAddress.String(text(name))}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		attrs = append(attrs, serverPort.Int(int(n)))
	}
	return attrs
}

// peer says who is at the other end of a connection.
func peer(address string) []attribute.KeyValue {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return []attribute.KeyValue{networkPeerAddress.String(text(address))} // a socket's path
	}
	return []attribute.KeyValue{networkPeerAddress.String(ap.Addr().Unmap().String()), networkPeerPort.Int(int(ap.Port()))}
}

func scheme(r *http.Request) string {
	switch {
	case r.RequestURI == "":
		return r.URL.Scheme
	case r.TLS != nil:
		return "https"
	}
	return "http"
}

func version(r *http.Request) string {
	if r.ProtoMajor >= 2 {
		return strconv.Itoa(r.ProtoMajor)
	}
	return strconv.Itoa(r.ProtoMajor) + "." + strconv.Itoa(r.ProtoMinor)
}
