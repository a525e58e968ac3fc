package picker

import "github.com/go-loadbalancer/lb"

// ranking is a picker that ranks all its backends for a key and can go on to the next: what
// BoundedLoad walks.
type ranking interface {
	lb.Picker
	// pickWithin returns the first backend in the key's order that was not tried before and that
	// the limit admits, or nil if there is none.
	pickWithin(lb.PickInfo, limit) *lb.Backend
}

// limit is a bound on requests in flight, shared out by weight. The zero limit is none.
type limit struct {
	most  float64 // requests in flight in all that there is room for
	total float64 // of the weights that share it
}

// admits reports whether c has fewer requests in flight than its share, rounded up, of what there
// is room for. A whole number is below that if, and only if, it is below the share itself.
func (l limit) admits(c *lb.Candidate) bool {
	return l.total == 0 || float64(c.InFlight())*l.total < l.most*c.Weight
}
