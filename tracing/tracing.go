package tracing

import (
	"errors"
	"fmt"
	"net/netip"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/internal/clientip"
)

// Config says where spans go and what is believed about callers. Only Provider is required.
type Config struct {
	// Provider makes the tracer, mostly an SDK's.
	Provider trace.TracerProvider
	// Propagator reads callers' contexts from headers and writes ours for backends. Nil means
	// W3C Trace Context without baggage. What it could write is removed from the headers that
	// came in.
	Propagator propagation.TextMapPropagator
	// Untrusted says that those who send requests may be anybody. Each request that is served
	// then begins a trace of its own, which links to the context that came in; so nobody outside
	// decides what is sampled or adds to others' traces. By default the caller's trace goes on.
	Untrusted bool
	// TrustedProxies are believed about who the client is, for client.address, as in lb.Config.
	// By default nobody is.
	TrustedProxies []netip.Prefix
	// Explain has the span of each request that is recorded say how its answer came about, in the
	// attribute lb.explanation: whom it could go to, why to nobody else, and how its attempts ended.
	// It costs time in the number of backends for each attempt. False costs nothing.
	Explain bool
}

// New returns an observer for lb.Config.Observers that makes the spans, or an error that names
// every field that is wrong. One observer may serve several balancers. Observers that come after
// it find its spans in the contexts they are given.
func New(cfg Config) (lb.Observer, error) {
	proxies, err := clientip.New(cfg.TrustedProxies)
	if err != nil {
		err = fmt.Errorf("tracing: Config.TrustedProxies: %w", err)
	}
	if cfg.Provider == nil {
		err = errors.Join(errors.New("tracing: Config.Provider is nil; give it an SDK's, or leave the observer out"), err)
	}
	if err != nil {
		return lb.Observer{}, err
	}
	if cfg.Propagator == nil {
		cfg.Propagator = propagation.TraceContext{}
	}
	t := &tracer{
		Tracer:     cfg.Provider.Tracer("github.com/go-loadbalancer/lb/tracing", trace.WithSchemaURL(schemaURL)),
		propagator: cfg.Propagator,
		fields:     cfg.Propagator.Fields(),
		untrusted:  cfg.Untrusted,
		proxies:    proxies,
		server:     []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)},
		internal:   []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindInternal)},
	}
	t.known.Store(&map[string]known{})
	o := lb.Observer{
		RequestStart: t.requestStart,
		AttemptStart: t.attemptStart,
		Attempt:      t.attempted,
		Request:      t.requested,
		Change:       t.changed,
	}
	if cfg.Explain {
		o.Explain = t.explains
	}
	return o, nil
}
