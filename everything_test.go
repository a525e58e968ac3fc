package lb_test

import (
	"net/http"
	"slices"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/limit"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/session"
	"github.com/go-loadbalancer/lb/tracing"
)

// ways are the two ends of what may be on in a balancer: nothing, and everything.
func ways() map[string]lb.Config {
	return map[string]lb.Config{"bare": {}, "all": everything()}
}

// everything is a configuration that has everything on, from the packages that a program would use;
// assemble adds what needs a pool or stands in front. The module bench measures the same. Its breakers
// see all and stay closed, so that no row of a test depends on those before it.
func everything() lb.Config {
	return lb.Config{
		Retries:  2,
		Breakers: lb.Must(breaker.New(breaker.Config{FailureRate: 1, Requests: 1_000_000, Consecutive: 1_000_000})),
		Sessions: lb.Must(session.NewMemory(session.MemoryConfig{})),
		Observers: []lb.Observer{
			metrics.New(metrics.Config{}).Observer(),
			lb.Must(tracing.New(tracing.Config{Provider: sdktrace.NewTracerProvider()})),
		},
		MaxBody: 1 << 40, ReasonHeader: "X-Reason",
		SlowStart: lb.SlowStart{Window: time.Second}, Queue: lb.Queue{Length: 100}, WaitForBackend: time.Millisecond,
	}
}

// assemble makes the balancer of a test, and what a server before it serves.
func assemble(cfg lb.Config) (*lb.Balancer, http.Handler) {
	if cfg.Sessions == nil {
		b := lb.Must(lb.New(cfg))
		return b, b
	}
	cfg.SessionKey = lb.Must(session.NewCookie(session.CookieConfig{Pool: cfg.Pool}))
	b := lb.Must(lb.New(cfg))
	return b, lb.Must(limit.New(limit.Config{Rate: 1_000_000})).Wrap(b)
}

// theirs are the cookies of an answer that its backend set.
func theirs(h http.Header) []string {
	return slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(c string) bool { return strings.HasPrefix(c, "lb_session=") })
}
