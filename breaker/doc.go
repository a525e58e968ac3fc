// Package breaker stops traffic to a backend that keeps failing, before every client has waited
// for it, and finds out with few requests when it is well again.
//
//	breakers, err := breaker.New(breaker.Config{})
//	balancer, err := lb.New(lb.Config{Pool: pool, Policy: policy, Breakers: breakers})
//
// A breaker is closed at first and lets every request pass. It opens when one of three rules says
// so: when too large a share of the requests within a sliding window failed, which notices a
// backend that fails now and then under load; when several requests in a row failed, which
// notices a dead one, however little traffic there is; or, with Config.Slow, when too large a share of
// answers took too long to begin. Open, it lets nothing pass until the cooldown is over. Then it is
// half-open: a few trial requests pass at a time. As many successes close it; one failure, or one slow
// answer, opens it again, for a quarter of the time that it has been out, up to the cooldown. Why it opened, it says in lb.Change, lb.BackendStatus
// and the log: "5 requests in a row failed", "3 of 10 answers within 10s took longer than 2s".
//
// What counts as a failure is lb.Config.Classify's to say. A neutral outcome, such as a client
// that left, counts for nothing: in a trial, it leaves its place to the next request, so that
// clients cannot hold a breaker open. A result counts only in the state in which its request was
// allowed: what began before the breaker opened can neither close it nor open it again. Trials
// that do not end are replaced after a while, so that none can take the last place away.
//
// Each breaker guards one backend of one balancer. Its methods may be called by many goroutines
// at once and allocate nothing. While it is closed, Allow costs one atomic load.
//
// Sliding window and thresholds are failsafe-go's. Its window goes by the wall clock:
// when that is set back, results stay in the window until it has caught up. Failures in a row do
// not depend on it.
package breaker
