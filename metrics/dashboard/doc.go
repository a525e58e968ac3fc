// Package dashboard is one page that shows a balancer and its backends, live: health, weight,
// breaker, requests in flight, rate, latency and what happened lately.
//
//	export := recorder.Export(balancer, metrics.ExportConfig{})
//	admin.Handle("/metrics", export.JSON())
//	admin.Handle("/metrics/stream", export.Stream())
//	admin.Handle("/", dashboard.Handler(dashboard.Config{Source: export}))
//
// The page follows the stream. While that fails, it asks for the JSON every five seconds; without
// JavaScript, it is rendered here and reloads itself. It needs nothing from elsewhere, and a
// strict Content-Security-Policy sees to that. Names and causes that come from backends are shown
// as text only.
//
// The page tells addresses and causes of failures: it is for operators. Serve it on a listener
// that clients cannot reach.
package dashboard
