// Package health finds out which backends of a pool are well, and tells the pool.
//
// Two runners share the work, and neither knows the other. A [Checker] asks: it sends each
// backend a probe now and then, and marks those that fail lb.Down. An [Ejector] listens: it is an
// observer of what real requests meet, and marks a backend that fails many in a row lb.Ejected
// for a while. The facts are independent, and a balancer avoids a backend with either.
//
//	probe := lb.Must(health.HTTP(health.HTTPConfig{Path: "/health"}))
//	checker := lb.Must(health.New(health.Config{Pool: pool, Probe: probe}))
//	ejector := lb.Must(health.NewEjector(health.EjectorConfig{Pool: pool}))
//	balancer := lb.Must(lb.New(lb.Config{
//		Pool:      pool,
//		Policy:    picker.PowerOfTwo,
//		Observers: []lb.Observer{ejector.Observer()},
//	}))
//	go lb.Run(ctx, checker, ejector)
//
// # How the two meet
//
// An ejection must not outlive what caused it, so checks that pass end it, as in Envoy: the
// Checker takes lb.Ejected back when a backend has passed Config.Rise checks in a row since it
// was ejected. But a backend may pass its checks and still fail its requests. Therefore the
// second ejection in a row needs twice as many passed checks, the third three times as many, and
// so on, while the Ejector's own time grows in the same way: such a backend gets less and less
// to spoil. Both forgive step by step while the backend is not ejected.
//
// # What proves nothing
//
// A check that the end of Run has cut short, and one that failed because this process has no
// file descriptors left, say nothing about a backend. Nor do requests whose clients left: the
// balancer calls them neutral, and the Ejector does not count them.
//
// # When all are ill
//
// The Checker may mark every backend: lb.Config.PanicThreshold says what a balancer makes of
// that. The Ejector always leaves one that is fit, and by default half of them.
//
// # Concurrency
//
// All methods may be called by many goroutines at once. Each Run uses one goroutine, and a
// Checker's one more for each backend; all have ended when it returns. Only one Run of a Checker
// or Ejector may be going on at a time.
package health
