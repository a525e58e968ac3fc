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
// # Up and down
//
// The default plan is [Step]: more than Threshold requests answered in one interval, by all
// backends together, call for one more backend; half of that or less, for one less. Between the
// two nothing happens, and this gap is what keeps a steady load from moving the pool up and down.
//
// Up is done at once, as many as the plan asks for; those being launched count as there. Down is
// done one at a time, and only after the plan has asked for it in every interval for a Cooldown
// in which nothing else moved. A Scaler terminates only what its provider has launched, the
// newest first, and only if a fit backend is left; backends from configuration stay.
//
// # An outage is not idleness
//
// Requests that nobody could answer are no load, but no rest either. An interval in which more
// than a tenth of the requests failed, which with few requests means a single one, never counts
// toward going down. A backend's 503 is a failure; its 429 is neither load nor failure, since it
// says that a client asks too much. A client that leaves before it has an answer counts as a
// failure here: that is how an outage looks when backends hang.
//
// # The end
//
// When Run ends, it drains and terminates everything that was launched, for nobody else would.
// So stop serving first, and end Run then.
package autoscale
