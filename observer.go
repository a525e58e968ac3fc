package lb

import (
	"context"
	"net/http"
	"time"
)

// Observer is told what happens and cannot change it, in the manner of httptrace.ClientTrace:
// a nil function is not interested. The others are called concurrently, by the goroutine that
// made the event and mostly on the request path: they have to be quick and must not panic.
type Observer struct {
	// RequestStart is called before anything is done for a request. The context it returns
	// replaces the request's.
	RequestStart func(context.Context, *http.Request) context.Context
	// Explain says whether a request is to be explained, in its Summary. It is called once for each,
	// after RequestStart. An explanation costs time and memory in the number of backends for each try.
	Explain func(*http.Request) bool
	// AttemptStart is called before each try, with the headers that will be sent: it may add
	// to them for this attempt. The context it returns is that of the attempt.
	AttemptStart func(context.Context, AttemptInfo, http.Header) context.Context
	// Attempt is called once for every try, when it is judged.
	Attempt func(Result)
	// Request is called once for every request, when its response has ended.
	Request func(Summary)
	// Change is called for each difference in facts or weight between two snapshots of the pool, for
	// each breaker that was seen in another state, and for each backend that begins or ends to be
	// Warming: see Config.SlowStart. The balancer looks when a request or
	// [Balancer.Status] finds that something has changed. Calls never overlap.
	Change func(Change)
}

// AttemptInfo describes a try that is about to be made.
type AttemptInfo struct {
	Request *http.Request // as it came in
	Backend *Backend
	Attempt int    // 0 for the first try
	Session string // as its key read it, "" for none: a secret, not to be shown
}

// Result is how one attempt ended.
type Result struct {
	Request *http.Request // as it came in; its context is the attempt's, with what AttemptStart put there
	Backend *Backend
	Attempt int           // 0 for the first try
	Status  int           // 0 if no response came
	Err     error         // nil if a response came; else an *AttemptError, or why we gave up
	Reason  string        // why it did not succeed, a word as in Summary; "" if it did
	Hedge   bool          // it was begun while another was under way: see Config.Hedge
	Latency time.Duration // until the response headers, or until the error, without our own pauses: see Config.Pauses
	Outcome Outcome
	// Report is what the backend said about its load in its answer; nil if it said nothing. What it
	// says in a trailer comes too late for an answer that takes longer than a second. It is shared:
	// only to be read.
	Report *Report
}

// Summary is how one request ended.
type Summary struct {
	Request  *http.Request // its context has what RequestStart put there
	Backend  *Backend      // whose response was passed on; nil if none was
	Attempts int           // tries made
	Status   int           // sent to the client; 0 if nothing was sent
	// Reason says why the answer was not a backend's, or why a backend's broke off: a word of
	// a closed set, fit for a metric label. It is "" when all went well. The words are backend,
	// client, dial, host, method, no_backend, panic, protocol, queue_full, queue_timeout, refused,
	// request, reset, status, timeout, tls, truncated and upload.
	Reason   string
	Bytes    int64 // of the response's body
	Err      error // what ended the request or its response early
	Duration time.Duration
	// Session is the request's session as its key read it, "" for none or a new one: a secret,
	// not to be shown. Bound is the backend ID that it is bound to from now on, "" if nothing
	// changed, and From the one it was bound to before, "" if it is new.
	Session, From, Bound string
	// Explanation is nil, unless some Observer's Explain wanted it or Config.ExplainTo has the peer.
	Explanation *Explanation
}

// Change is one backend's move between states, as one balancer saw it.
type Change struct {
	Backend                     *Backend // as it is now, or as it was last if Removed
	Before, After               Facts
	BreakerBefore, BreakerAfter BreakerState
	WeightBefore, WeightAfter   int    // as configured; 0 before it joined and after it has left
	Joined, Removed             bool   // it is new in the pool, or it has left
	Cause                       string // of the last change of facts: what whoever reported it said, or "slow start"
	BreakerCause                string // why its breaker opened last, if it says so and is not closed
}

// observers are several Observers told as one.
type observers []Observer

func (os observers) requestStart(r *http.Request) *http.Request {
	ctx := r.Context()
	for i := range os {
		if f := os[i].RequestStart; f != nil {
			ctx = f(ctx, r)
		}
	}
	if ctx != r.Context() {
		r = r.WithContext(ctx)
	}
	return r
}

// explain asks all, also when one has said yes.
func (os observers) explain(r *http.Request) (yes bool) {
	for i := range os {
		if f := os[i].Explain; f != nil && f(r) {
			yes = true
		}
	}
	return yes
}

// explains reports whether anybody may want explanations.
func (os observers) explains() bool {
	for i := range os {
		if os[i].Explain != nil {
			return true
		}
	}
	return false
}

func (os observers) attemptStart(ctx context.Context, info AttemptInfo, h http.Header) context.Context {
	for i := range os {
		if f := os[i].AttemptStart; f != nil {
			ctx = f(ctx, info, h)
		}
	}
	return ctx
}

// addHeaders reports whether anybody may add headers to an attempt.
func (os observers) addHeaders() bool {
	for i := range os {
		if os[i].AttemptStart != nil {
			return true
		}
	}
	return false
}

func (os observers) attempt(res Result) {
	for i := range os {
		if f := os[i].Attempt; f != nil {
			f(res)
		}
	}
}

func (os observers) request(s Summary) {
	for i := range os {
		if f := os[i].Request; f != nil {
			f(s)
		}
	}
}

func (os observers) change(c Change) {
	for i := range os {
		if f := os[i].Change; f != nil {
			f(c)
		}
	}
}
