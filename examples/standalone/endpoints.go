package main

import (
	"fmt"
	"net/http"

	vm "github.com/VictoriaMetrics/metrics"

	"github.com/go-loadbalancer/lb/metrics/dashboard"
)

// balanced serves what is balanced. The limits cover nothing else.
func (a *app) balanced() (h http.Handler) {
	h = a.balancer
	if a.overall != nil {
		h = a.overall.Wrap(h)
	}
	if a.limiter != nil {
		h = a.limiter.Wrap(h)
	}
	return h
}

// adminHandler serves the dashboard, metrics and health.
func (a *app) adminHandler() http.Handler {
	vm.ExposeMetadata(true) // TYPE lines are the program's choice
	mux := http.NewServeMux()
	mux.Handle("GET /", dashboard.Handler(dashboard.Config{Source: a.export}))
	mux.Handle("GET /metrics", a.export.JSON())
	mux.Handle("GET /metrics/stream", a.export.Stream())
	mux.Handle("GET /prometheus", a.export.Prometheus())
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !a.ready.Load() {
			http.Error(w, "starting or stopping", http.StatusServiceUnavailable)
		} else if a.balancer.Status().Available == 0 {
			http.Error(w, "no backend available", http.StatusServiceUnavailable)
		} else {
			fmt.Fprintln(w, "ready")
		}
	})
	return mux
}
