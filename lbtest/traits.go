package lbtest

import (
	"github.com/go-loadbalancer/lb"
)

// Traits is what a policy promises beyond what all of them do. The zero value promises nothing
// more: only what package lb asks of every policy is checked then.
type Traits struct {
	// Shares says how picks divide among backends that are idle, and have answered alike.
	Shares Shares
	// Spread is by how much of itself a share may be off, beyond chance: 0.3 for a ring of hashes
	// that has a hundred points for each backend.
	Spread float64
	// Within bounds how far a backend is ever from its share, in picks, from any moment on and
	// also across rebuilds over the same backends: 2 for turns that are well mixed. Zero means
	// that shares come out by chance only.
	Within float64

	// Loads says what requests in flight do to a pick.
	Loads Loads
	// Explores is the share of picks that are made without looking at loads or at what was tried.
	Explores float64
	// AvoidsTried says that a backend which was just tried gives way while there is another.
	AvoidsTried bool

	// Keyed says that requests which are alike go to the same backend: Info decides, neither the
	// draw, nor the clock, nor which process it is. A backend that is marked down then moves its
	// own keys only.
	Keyed bool
	// Moves is the share of all other keys that may move when a backend joins the pool or leaves
	// it. Zero, which the best have, means none.
	Moves float64

	// Info returns the i-th of many requests that differ in whatever the policy looks at. Clock and
	// draw are filled in; nobody writes to it. Nil means GET requests for different paths,
	// from different addresses.
	Info func(i int) lb.PickInfo
	// Labels returns what the i-th backend is labelled with. Nil means nothing.
	Labels func(i int) map[string]string

	// Allocates says that a pick may allocate, which costs every request.
	Allocates bool
	// Refuses says that a pick may be nil although a backend is left that was not tried.
	Refuses bool
}

// Shares says how a policy divides picks among idle backends.
type Shares uint8

const (
	AnyShares    Shares = iota // nothing is promised
	Fair                       // backends that are alike get the same; a heavier one no less
	Equal                      // all get the same, whatever their weights
	Proportional               // each gets as its weight is
)

// Loads says what a policy makes of requests in flight.
type Loads uint8

const (
	Blind    Loads = iota // nothing is promised
	Lighter               // a busier backend gets less, in whatever order they stand
	Lightest              // no other has fewer in flight for its weight than the one that is picked
)
