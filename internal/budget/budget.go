// Package budget bounds how many tries are made on top of the first ones. The balancer keeps one
// for all its requests, and the simulator one for each of its clients.
package budget

import "sync/atomic"

// Budget bounds retries to a fifth of all requests and a reserve of ten. The zero value is a full
// one. Its methods may be called at any time by any goroutine, and allocate nothing.
type Budget struct {
	spent atomic.Int64 // of the reserve, in fifths of a retry
}

// Earn puts a fifth of a retry back, up to the reserve. It is called once for each request.
func (b *Budget) Earn() {
	if b.spent.Load() > 0 && b.spent.Add(-1) < 0 {
		b.spent.Add(1)
	}
}

// Spend takes a retry, and reports whether there was one to take.
func (b *Budget) Spend() bool {
	const cost, reserve = 5, 5 * 10
	if b.spent.Add(cost) <= reserve {
		return true
	}
	b.spent.Add(-cost)
	return false
}
