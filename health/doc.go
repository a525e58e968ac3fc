// Package health finds out which backends of a pool are well, and tells the pool.
//
// Three runners share the work, and none knows another. A [Checker] asks: it sends each backend a
// probe now and then, and marks those that fail lb.Down. An [Ejector] listens: it is an observer of
// what real requests meet, and marks a backend lb.Ejected for a while that fails many in a row, or
// more than the others. A [Suspector] waits: it marks a backend lb.Suspect as long as that leaves
// several requests without a word. The facts are independent, and a balancer avoids a backend with
// any of them.
//
//	probe := lb.Must(health.HTTP(health.HTTPConfig{Path: "/health"}))
//	checker := lb.Must(health.New(health.Config{Pool: pool, Probe: probe}))
//	ejector := lb.Must(health.NewEjector(health.EjectorConfig{Pool: pool}))
//	suspector := lb.Must(health.NewSuspector(health.SuspectorConfig{Pool: pool}))
//	balancer := lb.Must(lb.New(lb.Config{
//		Pool:      pool,
//		Policy:    picker.PowerOfTwo,
//		Observers: []lb.Observer{ejector.Observer()},
//	}))
//	go lb.Run(ctx, checker, ejector, suspector)
//
// # Who notices what
//
//	a backend that                      is noticed by  within                      and out
//	is gone, resets, answers 502 to 504 Ejector        5 requests in a row         30 s, then longer
//	fails more than the others          Ejector        10 s, of 100 results each   30 s, then longer
//	accepts, and says nothing           Suspector      half a second               until it answers
//	fails its checks                    Checker        3 checks                    until 2 have passed
//	is slow                             -              -                           see below
//
// To be slow is no reason to be left out: lb.Backend.Latency has policies such as picker.PeakEWMA send
// it less. Who must not wait sets breaker.Config.Slow.
//
// A suspicion ends with the first answer, so that one too many does little harm: the backend's
// sessions stay, and its requests in flight go on. When they fail, that is for the Ejector to judge.
//
// # How Checker and Ejector meet
//
// An ejection must not outlive what caused it, so checks that pass end it, as in Envoy: the
// Checker takes lb.Ejected back when a backend has passed Config.Rise checks in a row since it
// was ejected. But a backend may pass its checks and still fail its requests. Therefore the
// second ejection in a row needs twice as many passed checks, the third three times as many, and
// so on, while the Ejector's own time grows in the same way: such a backend gets less and less
// to spoil. Both forgive step by step while the backend is not ejected. All that either knows of the
// other is the fact in the pool. Where checks pass whatever requests meet, Config.KeepEjected leaves
// the matter to the Ejector.
//
// # What proves nothing
//
// A check that the end of Run has cut short, and one that failed because this process has no
// file descriptors left, say nothing about a backend. Nor do requests whose clients left, and those
// that this machine had no file or no memory for: the balancer calls them neutral, and the Ejector
// does not count them. While the process itself is stopped, no time passes for the Suspector. A clock
// that is set makes nothing longer or shorter: all goes by the monotonic one.
//
// # When all are ill
//
// The Checker may mark every backend: lb.Config.PanicThreshold says what a balancer makes of
// that. The Ejector always leaves one that is fit, and by default half of them. The Suspector has
// nobody left out when all are silent: then it is not them.
//
// # Concurrency
//
// All methods may be called by many goroutines at once. Each Run uses one goroutine, and a
// Checker's one more for each backend; all have ended when it returns. Only one Run of a Checker,
// Ejector or Suspector may be going on at a time.
package health
