package lb_test

import (
	"context"
	"log"
	"net/http"

	"github.com/go-loadbalancer/lb"
	"github.com/go-loadbalancer/lb/breaker"
	"github.com/go-loadbalancer/lb/health"
	"github.com/go-loadbalancer/lb/metrics"
	"github.com/go-loadbalancer/lb/picker"
	"github.com/go-loadbalancer/lb/session"
)

// All parts together, as in the README. It is compiled and not run: it would serve for ever.
func Example_everything() {
	ctx, secret := context.Background(), []byte("a secret of at least 32 characters")
	pool, err := lb.NewPool(
		lb.Spec{ID: "a", URL: "http://10.0.0.1:8080", Weight: 3, Labels: map[string]string{"region": "eu"}},
		lb.Spec{ID: "b", URL: "h2c://10.0.0.2:8080", MaxInFlight: 100},
	)
	fatal(err)
	cookie, err := session.NewCookie(session.CookieConfig{Pool: pool, Keys: [][]byte{secret}})
	fatal(err)
	breakers, err := breaker.New(breaker.Config{})
	fatal(err)
	probe, err := health.HTTP(health.HTTPConfig{Path: "/healthz"})
	fatal(err)
	checker, err := health.New(health.Config{Pool: pool, Probe: probe})
	fatal(err)
	recorder := metrics.New(metrics.Config{})

	balancer, err := lb.New(lb.Config{
		Pool: pool, Policy: picker.Adaptive,
		SessionKey: cookie, Breakers: breakers,
		Observers: []lb.Observer{recorder.Observer()},
	})
	fatal(err)
	export := recorder.Export(balancer, metrics.ExportConfig{})

	go http.ListenAndServe(":8080", balancer)
	go http.ListenAndServe("127.0.0.1:9090", export.Prometheus())
	err = lb.Run(ctx, checker, export) // background work ends when ctx does
	fatal(err)
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
