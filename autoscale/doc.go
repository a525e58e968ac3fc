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
//
// # Several balancers
//
// With Config.Leader, the Scalers of several processes, each with a pool of its own and all over
// the same provider, act as one; package autoscale/redis has a Leader. One of them leads: its plan
// decides, by the sum of what all of them see. Once a second (or Config.Interval, if that is
// shorter) each of them reports what it has seen, and brings its pool in line with the State, which
// lists what was launched. So what one launches is in every pool within a second, and what goes is
// drained from every pool before it is terminated. All must have the same plan, bounds and
// configured backends. When Run ends, nothing is terminated, and the pool stays as it is.
//
// Nothing is done before it was written into the State, which is replaced by compare-and-swap, in
// one piece: a launch has its place there from before it begins, and only whoever wrote it there
// begins it. Therefore, whatever stops, dies or is cut off, and for however long:
//
//   - A launch is begun once, by one instance. Whoever was stopped for longer than LaunchTimeout
//     between the two does not begin it.
//   - What is launched or serves is never more than Max, as far as the State knows. What runs and
//     is not in it was launched by an instance that was stopped or cut off, from a launch that was
//     under way then; it is terminated, or put into the State, when that instance can speak again.
//   - A leader whose lock is lost begins nothing more; launches under way go on, keep their places,
//     and are listed when they have ended, whoever leads then. One that is not heard of for
//     LaunchTimeout and ten seconds is given up, and made up for.
//   - The next leader knows all that was launched, and begins with as many backends as were last
//     desired. Its plan remembers nothing.
//   - A backend is terminated when every instance has said that it is no longer in its pool, or has
//     said nothing for ten seconds, or had DrainTimeout and five seconds to drain it. An instance
//     that cannot reach the others meanwhile may go on sending requests to a backend that is gone.
//   - While what keeps the State is away, nothing is launched or terminated, and pools stay as they
//     are. If it has lost the State, or the last of it, instances put back what they know; what has
//     left the State by that is terminated in the same orderly way, perhaps for a second time.
//
// What nobody can see to: a process that dies during Provider.Launch, or before it has written down
// how that ended, may leave a backend that no State lists. A provider that can tell what runs
// should look for those.
package autoscale
