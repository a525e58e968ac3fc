package autoscale

import (
	"context"
	"time"

	"github.com/go-loadbalancer/lb"
)

// Leader makes the Scalers of several processes, called instances, act as one: it says which of
// them leads, and keeps what all of them must know. autoscale/redis has one.
//
// Methods other than Lead must return within a second or so. They are called by one goroutine for
// each Scaler, Lead by another.
type Leader interface {
	// Lead waits until this instance leads, or ctx is done. Then held lasts until another may
	// lead, ctx is done or resign is called, which waits for nothing and may be called again. That
	// held may end late, after another leads, is allowed for: see Swap.
	Lead(ctx context.Context) (held context.Context, resign func(), err error)

	// Read returns the State that was written last; the zero State if there is none, or none
	// that can be believed.
	Read(ctx context.Context) (State, error)
	// Swap writes next if what Read would return is still old, exactly, and reports whether it
	// has: of all that find the same State, one can replace it. After an error nobody knows.
	Swap(ctx context.Context, old, next State) (swapped bool, err error)

	// Report leaves a Report for whoever leads, in place of the instance's last one; nil takes it
	// away.
	Report(ctx context.Context, instance string, r *Report) error
	// Reports returns those of all instances by their names. What is older than half a minute
	// may be missing.
	Reports(ctx context.Context) (map[string]Report, error)
}

// State is what all instances know, and only whoever replaces the last one may act upon.
type State struct {
	Revision   uint64     // grows with each Swap
	Generation uint64     // grows with each term of a leader
	Leader     string     // the instance whose term it is
	Desired    int        // the backends there should be, as the plan said last, those from configuration included
	Backends   []Launched // in the order in which their launches were begun
}

// Launched is a backend that is launched, was launched, or is to be terminated.
type Launched struct {
	Key   string // of the launch; new for each
	By    string // the instance that launches it
	Phase Phase
	Spec  lb.Spec // the zero Spec while Starting
}

// Phase is how far a Launched has come.
type Phase uint8

const (
	Starting Phase = iota + 1 // its launch has begun, or is about to
	Serving                   // it is in the pool of every instance, or will be within a second
	Leaving                   // every instance drains it; then it is terminated
)

// String returns the phase's name in lower case.
func (p Phase) String() string {
	switch p {
	case Starting:
		return "starting"
	case Serving:
		return "serving"
	case Leaving:
		return "leaving"
	}
	return "unknown"
}

// Report is what an instance has seen since it began. Counts only grow, so that one that is lost
// or late costs nothing.
type Report struct {
	Up                   time.Duration // since when it runs
	Generation, Revision uint64        // of the State that its pool has been brought in line with
	Draining             []string      // backends that still have to leave its pool, by ID
	Answered             int64         // requests, as in Load.Requests
	Failed               int64         // as in Load
	Begun                int64         // as in Load
	Ended                int64         // as in Load
	Busy                 time.Duration // how long all requests together have been in flight
	InFlight             int64         // requests now
}
