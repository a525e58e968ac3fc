// Package autoscale keeps a pool as large as its load asks for.
//
// A [Scaler] counts the requests that backends have answered. Once per interval it asks a [Plan]
// how many backends there should be, lets a [Provider] launch those that are missing and puts
// them into the pool, or drains one that is too many and has it terminated.
//
//	scaler := lb.Must(autoscale.New(autoscale.Config{
//		Pool:     pool,
//		Provider: &autoscale.Local{Handler: app},
//		Max:      8,
//	}))
//	balancer := lb.Must(lb.New(lb.Config{
//		Pool:      pool,
//		Policy:    picker.PowerOfTwo,
//		Observers: []lb.Observer{scaler.Observer()},
//	}))
//	go lb.Run(ctx, scaler)
//
// # Which plan
//
// A [Plan] is a value: asked for its Next, it returns how many backends there should be, and the
// plan to ask next time. It reads no clock and draws nothing.
//
//	plan           wants                                           for
//	[Step]         one more above a number of answered requests    a few backends, one known load
//	[PerBackend]   requests of an interval / n                     steady loads whose requests are alike
//	[Requests]     requests per second / what a backend serves     requests that are alike
//	[Utilization]  requests in flight / what a backend has slots   all else; sees slow requests, too
//	[Largest]      the most of several                             more than one limit
//	[PlanFunc]     what a function says                            your own
//
// The default plan is Step: more than Threshold requests answered in one interval, by all
// backends together, call for one more backend; half of that or less, for one less. Between the
// two nothing happens, and this gap is what keeps a steady load from moving the pool up and down.
//
//	plan, err := autoscale.Utilization(autoscale.UtilizationConfig{Slots: 20})
//
// keeps 70% of the slots in use. Utilization and Requests decide every two seconds, and average
// over two windows: a long one, and a short one that begins a panic when it calls for twice as
// many backends as are fit. [Pace] has all of that, and a forecast.
//
// # Up and down
//
// Up is done at once, as many as the plan asks for; those being launched count as there. After a
// launch that failed there is none for Config.Backoff, which doubles with each further one.
//
// Down is up to the plan. Utilization and Requests go down to the most that was needed in five
// minutes, to half at most, once a minute at most, and never in a panic. A PlanFunc forgets, so
// the Scaler is patient for it: one goes after the function has wanted fewer in every interval
// for a Cooldown in which nothing else moved.
//
// A Scaler terminates only what its provider has launched; backends from configuration stay. What
// is unfit goes first, then what has the fewest requests in flight, and of equals the newest. A
// fit backend is always left, in the pool and among those with the same label "zone".
//
// # An outage is not idleness
//
// Requests that nobody could answer are no load, but no rest either. An interval in which more
// than a tenth of the requests failed, which with few requests means a single one, never counts
// toward going down; Utilization and Requests look at their long window for that, and do not move
// at all while more than half of the backends are unfit. A backend's 503 is a failure; its 429 is neither load nor failure, since it
// says that a client asks too much. A client that leaves before it has an answer counts as a
// failure here: that is how an outage looks when backends hang.
//
// # The end
//
// When Run ends, it drains and terminates everything that was launched, for nobody else would.
// So stop serving first, and end Run then.
package autoscale
