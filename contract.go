package lb

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
)

// Pool is where a Balancer finds its backends; see [NewPool].
type Pool interface {
	// Snapshot returns the backends as they are now. It is called for every attempt: it must
	// not block, and must return the same pointer until something changes.
	Snapshot() *Snapshot
}

// PickInfo is what a Picker may know about the attempt it picks for. With it and the set it
// was built over, a pick is a function: it reads no clock and has no generator of its own.
type PickInfo struct {
	Request  *http.Request // as it came in; only to be read
	ClientIP netip.Addr    // the right-most hop outside Config.TrustedProxies; the zero Addr if unknown
	Trusted  bool          // the peer is one of Config.TrustedProxies, so its headers may be believed
	Attempt  int           // 0 on the first try
	Now      time.Time     // read once per attempt
	Rand     uint64        // uniform, drawn anew for each pick

	tried []*live.Load
}

// Tried reports whether b has already failed or refused this request.
func (i PickInfo) Tried(b *Backend) bool {
	return len(i.tried) > 0 && slices.Contains(i.tried, b.load) // nearly always none: b is not even read
}

// WithTried returns a PickInfo for which bs, too, count as tried. It is for tests of pickers.
func (i PickInfo) WithTried(bs ...*Backend) PickInfo {
	i.tried = slices.Clone(i.tried)
	for _, b := range bs {
		i.tried = append(i.tried, b.load)
	}
	return i
}

// Picker chooses a backend for each attempt.
//
// A Picker that learns from results may also implement
//
//	interface{ Attempted(Result) }
//
// which is called once for every attempt on a backend of its set, under the rules of [Observer].
//
// A Picker that can say why may also implement
//
//	interface{ Explain(PickInfo) []Score }
//
// which returns what it thinks of each backend of its set, the first choice first. It is called
// for people who ask ([Balancer.Explain], Observer.Explain, Config.ExplainTo) and for no other
// request: it may allocate and look at all backends, but must not change what is picked next. It is called concurrently.
type Picker interface {
	// Pick returns one of the backends in the set that its Policy was given, or nil to end
	// the choice with [ErrRefused]. It is called concurrently, must not block and should not
	// allocate. A backend that cannot take the request after all (full, tried before, stopped
	// by its breaker) costs another Pick, so a picker need not look at these things.
	Pick(PickInfo) *Backend
}

// PickFunc lets a function be a Picker.
type PickFunc func(PickInfo) *Backend

// Pick calls f.
func (f PickFunc) Pick(i PickInfo) *Backend { return f(i) }

// Score is what a picker that explains itself thinks of one backend: the lowest is its first
// choice. Scores of different pickers cannot be compared.
type Score struct {
	Backend *Backend
	Score   float64 // finite; in a unit of the picker's own
	Why     string  // one short line for people
}

// Candidate is a backend that may be picked now.
type Candidate struct {
	*Backend
	Weight float64 // effective share, above zero: the configured weight, scaled where that applies
	Trial  bool    // its breaker admits trial requests only
}

// Set is what a Policy builds a Picker over.
type Set struct {
	// Eligible are the backends to pick from, sorted by ID and never empty. The slice belongs
	// to the policy, which may sort, edit and keep it.
	Eligible []Candidate
	// Others are the pool's remaining backends, sorted by ID: known, but not to be picked now.
	// They are for tables that must not move other keys, for tiers and for zones.
	Others []*Backend
	// Previous is the picker that this one replaces, nil at first. A picker with state copies
	// from it by backend ID. It must not keep it: that would keep its predecessors, too.
	Previous Picker
}

// Policy builds a Picker for a set of backends. The balancer calls it when the eligible set or
// an effective weight has changed, never per request and never twice at a time. Package picker
// has many. A nil Picker refuses every request. One that panics while the set before it serves has that
// serve on: one request panics with it, for people to know, and it is called again after a second or when
// something else has changed.
type Policy func(Set) Picker

// Outcome is what one attempt says about its backend.
type Outcome uint8

const (
	Neutral Outcome = iota // nothing: the client left or broke its request off, or we gave up
	Success                // the backend did its part
	Failure                // it did not
)

// String returns the outcome's name in lower case.
func (o Outcome) String() string { return name(o, "neutral", "success", "failure") }

// Permit is a breaker's leave to send one request. Only the breaker that gave it can read it.
type Permit uint64

// BreakerState is the state of a circuit breaker.
type BreakerState uint8

const (
	Closed   BreakerState = iota // requests pass
	Open                         // no request passes
	HalfOpen                     // a few trial requests pass
)

// String returns the state's name: closed, open or half-open.
func (s BreakerState) String() string { return name(s, "closed", "open", "half-open") }

// Breaker stops traffic to one backend that keeps failing. It is called concurrently and must
// not block; Allow and Status should not allocate.
//
// A Breaker that judges by time, too, may also implement
//
//	interface{ DoneIn(Permit, Outcome, time.Duration) }
//
// which is called in place of Done, with the time as in [Result].
//
// A Breaker that can say why it is not closed may also implement
//
//	interface{ Cause() string }
//
// which returns one short line for people, as of its last opening, or "" when it is closed. It is
// called when the breaker is seen in another state, and by [Balancer.Status], for no request.
type Breaker interface {
	// Allow asks to send one request. After true, exactly one Done with that permit follows.
	Allow() (Permit, bool)
	// Done says how the permit's request ended. A permit from before the last change of state
	// proves nothing about the present one and must not count. A neutral outcome neither closes
	// nor opens a breaker; if it was a trial, its place goes to the next.
	Done(Permit, Outcome)
	// Status returns the state and, when that is Open, the earliest time of the next trial.
	// It has no side effects.
	Status() (BreakerState, time.Time)
}

// SessionStore remembers which backend serves which session, for every balancer that shares
// it. An error costs a request its stickiness, never its answer. Sessions are secrets of
// clients: a store must not show them, and must bound how many it keeps.
//
// A store that wants to know that a session is in use, without having been asked, may also
// implement
//
//	interface{ Seen(session, backend string) }
//
// It is called on the request path for each request that a session's own key sent to the right
// backend, and must not block. By it a store learns of sessions when they first return.
type SessionStore interface {
	// Lookup returns the ID of the backend that a session is bound to, or "" if it is not
	// bound, or no longer: that is not an error. It is called on the request path.
	Lookup(ctx context.Context, session string) (backend string, err error)
	// Bind moves a session from one backend to another, unless somebody else has moved it
	// elsewhere first. A session that the store does not know is bound to the new one, whatever
	// from says; from is "" for a session that has none. It returns who is bound afterwards.
	Bind(ctx context.Context, session, from, to string) (backend string, err error)
	// Forget removes a session. Forgetting an unknown one is not an error.
	Forget(ctx context.Context, session string) error
}

// SessionKey finds a request's session and gives one to a client that has none. Both methods
// are called concurrently, on the request path.
//
// A key that backends must not see may also implement
//
//	interface{ Strip(http.Header) }
//
// which removes it from the headers of a request before that is sent to a backend. If it is but a
// cookie, it may implement
//
//	interface{ StripCookie(line string) (rest string, left bool) }
//
// as well, for one line of cookies, which saves a copy of all headers.
type SessionKey interface {
	// Read returns the request's session and the backend ID that the key itself remembers. The
	// session is "" if the request has none, or a forged or malformed one; the backend is "" if
	// the key remembers none.
	Read(*http.Request) (session, backend string)
	// Write adds to the headers of a response what its client must remember: that session is
	// served by backend. For session "" it makes a new one. It is called for every response that
	// could bind a session, and writes only if what r carries is not the same already.
	Write(h http.Header, r *http.Request, session, backend string)
}

// Runner is background work. Run blocks until ctx is done or the work fails, and returns only
// after everything it started has stopped. It returns nil when ctx has ended it.
type Runner interface {
	Run(ctx context.Context) error
}

// Run runs all runners until ctx is done or one of them fails, which ends the others, and waits
// for all of them. It returns the first failure, or nil if ctx was done before.
func Run(ctx context.Context, runners ...Runner) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, r := range runners {
		wg.Go(func() {
			if err := r.Run(running); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running) // nil if all ended by themselves
}

// name returns the name at index i.
func name[T ~uint8](i T, names ...string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "unknown"
}
