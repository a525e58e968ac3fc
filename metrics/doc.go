// Package metrics counts what a balancer does and shows it: to Prometheus, as JSON, and as a
// stream for the page of package dashboard.
//
//	recorder := metrics.New(metrics.Config{})
//	balancer, err := lb.New(lb.Config{
//		Pool:      pool,
//		Policy:    picker.RoundRobin,
//		Observers: []lb.Observer{recorder.Observer()},
//	})
//	…
//	export := recorder.Export(balancer, metrics.ExportConfig{Policy: "round robin"})
//	admin := http.NewServeMux()
//	admin.Handle("/metrics", export.JSON())
//	admin.Handle("/metrics/stream", export.Stream())
//	admin.Handle("/metrics/prometheus", export.Prometheus())
//	…
//	err = lb.Run(ctx, export)
//
// All three handlers tell addresses of backends and causes of failures. They are for operators:
// serve them on a listener that clients cannot reach.
//
// # Metrics
//
// A Recorder keeps a set of its own; nothing is registered with the program at large. These are
// counters, unless the table says otherwise:
//
//	loadbalancer_requests_total{backend,status}             requests that have ended
//	loadbalancer_attempts_total{backend,outcome}            tries: success, failure, neutral
//	loadbalancer_retries_total                              tries after a failed one
//	loadbalancer_hedges_total                               tries beside a slow one
//	loadbalancer_errors_total{reason}                       requests that lb.Summary has a reason for
//	loadbalancer_z_request_duration_seconds{backend}        histogram, 0.1 ms to 3.3 s
//	loadbalancer_z_backend_connections{backend}             gauge: requests in flight
//	loadbalancer_backend_up{backend}                        gauge: 1 if it is fit, else 0
//	loadbalancer_backend_weight{backend}                    gauge: lb.BackendStatus.Share
//	loadbalancer_breaker_state{backend}                     gauge: 0 closed, 1 open, 2 half-open
//	loadbalancer_fail_open                                  gauge: 1 while lb.Status.FailOpen holds
//	loadbalancer_queued_requests                            gauge: lb.Status.Queued
//
// Status is the code of three digits that the client got, or 000 if it got none. Backend is the
// ID of the one that answered. It is empty when none did, and for what is told of a backend after
// it has left the pool: the sum over all series counts every request once, and no late result
// brings the series of a backend back that has gone. The duration is lb.Summary.Duration, from
// the request to the end of its response, for requests that a backend answered; tunnels (101),
// which last as long as their clients like, are left out of it.
//
// Each backend has one series for each status it has answered with, three for the outcomes and
// nineteen for the histogram. They go when it leaves. No label comes from a request.
//
// TYPE and HELP lines are up to the program, because VictoriaMetrics keeps that choice in a
// global variable: call its metrics.ExposeMetadata(true) to have them. Prometheus does without.
//
// # Percentiles
//
// The percentiles in a Report are of the times to response headers of successful attempts, over
// the last 50 to 60 seconds, and at most 6.25 % off. The minute moves with Run; without Run, with
// whoever asks for a Report.
package metrics
