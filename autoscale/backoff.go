package autoscale

import "time"

// backoff is what failed launches say about further ones. The zero value says nothing.
type backoff struct {
	failures int       // in a row
	until    time.Time // no launch before
}

// allow returns how many of the backends that are missing may be launched, while others are
// starting: after a failure one at a time, as long as none succeeds.
func (b backoff) allow(now time.Time, missing, starting int) int {
	switch {
	case b.failures == 0:
		return missing
	case starting > 0 || now.Before(b.until):
		return 0
	}
	return min(missing, 1)
}

// failed waits twice as long as before, thirty times first at most. Launches that were begun
// together fail together, and count once.
func (b backoff) failed(now time.Time, first time.Duration) backoff {
	if now.Before(b.until) {
		return b
	}
	wait := min(first<<min(b.failures, 5), 30*first)
	return backoff{failures: b.failures + 1, until: now.Add(wait)}
}
