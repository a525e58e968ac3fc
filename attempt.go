package lb

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/transport"
)

// attempt is one try: a place on a backend, which it holds until the response has ended.
type attempt struct {
	trip    *trip
	view    *view // that it was chosen from
	backend *Backend
	breaker Breaker // nil if there is none
	permit  Permit

	n       int
	start   time.Time
	lost    uint32                 // what Config.Pauses had measured then
	result  Result                 // as the headers made it; not changed after that
	report  atomic.Pointer[Report] // the backend's; nil if there was none
	left    atomic.Bool
	judged  atomic.Bool
	settled bool // its answer is not waited for: it has begun, or may not before the body's end

	x    exchange       // the answer, for ServeHTTP
	resp *http.Response // the answer, for RoundTrip

	ctx    context.Context         // with Retry.TryTimeout, or beside another try; nil: the request's
	head   func() bool             // ends Retry.TryTimeout, unless it has passed; nil: there is none
	cancel context.CancelCauseFunc // of ctx
	side   *side                   // nil: no other try runs beside it

	endless bool // it has a context of its own, and the backend's removal may end it

	err      error // of a try that ran beside another
	panicked any
}

// side is what tries that run at the same time must not share.
type side struct {
	out    outgoing
	native native
	reader bytes.Reader
}

// newAttempt returns an attempt of the trip. The first is part of it, and saves an allocation.
func (t *trip) newAttempt() *attempt {
	if t.first.trip == nil {
		return &t.first
	}
	return new(attempt)
}

// run sends a request to the backend, for whoever wants an http.Response. Without one, or if the
// transport panics, the place is given back before it returns; else the response's body does that.
func (a *attempt) run(out *http.Request) (err error) {
	defer func() {
		if a.resp == nil {
			a.fail(err)
		}
	}()
	got, err := a.trip.b.cfg.Transport.RoundTrip(a.aim(out))
	if err == nil {
		if err = cmp.Or(switched(got, out), a.begun()); err != nil {
			got.Body.Close()
		}
	}
	if err != nil {
		return a.blame(err)
	}
	if got.Header == nil {
		got.Header = make(http.Header)
	}
	a.answered(got.StatusCode, a.trip.b.cfg.Classify(got, nil))
	if a.trip.unwanted(got.StatusCode) {
		a.heed(got.Header["Retry-After"])
	}
	a.resp = got
	return nil
}

// answered notes that a response has begun.
func (a *attempt) answered(status int, outcome Outcome) {
	if a.settled {
		a.backend.load.HeardMore()
	} else {
		a.settled = true
		a.backend.load.Heard()
	}
	a.result.Latency = a.took()
	a.result.Status, a.result.Outcome = status, outcome
	if outcome == Failure {
		a.result.Reason = "status"
	}
}

// fail ends an attempt that got no response. A nil err means that the transport panics.
func (a *attempt) fail(err error) {
	defer a.leave() // also if somebody who is told panics
	a.result.Reason = "panic"
	if err != nil {
		_, a.result.Reason = verdict(err)
	}
	a.result.Err = err
	a.result.Latency = a.took()
	a.judge(nil)
}

// took is the time since the attempt's start, without pauses of our own.
func (a *attempt) took() time.Duration {
	now := time.Now()
	took, p := now.Sub(a.start), a.trip.b.cfg.Pauses
	if p == nil {
		return took
	}
	return without(took, p.since(a.lost, now), a.backend.load.Latency())
}

// proven is what an error says of the backend: nothing, if this program lacks something itself, or it
// is a timeout that ran while this program did not.
func (a *attempt) proven(err error) Outcome {
	if isLocal(err) {
		return Neutral
	}
	if p := a.trip.b.cfg.Pauses; p != nil && isTimeout(err) && p.since(a.lost, time.Now()) > 0 {
		return Neutral
	}
	return a.trip.b.cfg.Classify(nil, err)
}

// aim returns a copy of the request that points at the backend. Its headers are out's own,
// unless an observer may add to them.
func (a *attempt) aim(out *http.Request) *http.Request {
	t, aimed := a.trip, *out
	aimed.URL = join(a.backend.url, out.URL)
	if t.b.cfg.RewriteHost {
		aimed.Host = ""
	} else {
		aimed.Host = cmp.Or(out.Host, out.URL.Host)
	}
	if t.upload != nil {
		aimed.Body, aimed.GetBody = t.upload.newPass(), nil
	}
	ctx := a.within(out.Context())
	if t.b.observers.addHeaders() {
		aimed.Header = out.Header.Clone()
		info := AttemptInfo{Request: t.req, Backend: a.backend, Attempt: a.n, Session: t.session}
		ctx = t.b.observers.attemptStart(ctx, info, aimed.Header)
		a.result.Request = t.req.WithContext(ctx)
	}
	if name := a.backend.spec.ServerName; name != "" {
		ctx = transport.WithServerName(ctx, name)
	}
	if ctx != out.Context() {
		return aimed.WithContext(ctx)
	}
	return &aimed
}

// blame says whose fault an error is: the client's, who left or broke its body off, or the
// backend's, and notes what that makes of the attempt.
func (a *attempt) blame(err error) error {
	t := a.trip
	broken := t.upload.brokenOff()
	cause := a.ended()
	failed, ours := errors.AsType[*transport.Error](err)
	switch {
	case cause == errHedged:
		return cause
	case (cause == errTryTimeout || err == errTryTimeout) && t.req.Context().Err() == nil:
		a.result.Outcome = a.proven(errTryTimeout)
		return &AttemptError{Backend: a.backend.ID(), Attempt: a.n, Reason: "timeout", Err: errTryTimeout}
	case ours && failed.Client && t.upload != nil && errors.Is(failed.Err, os.ErrDeadlineExceeded): // before UploadIdle
		return fmt.Errorf("%w: %w", ErrUpload, err)
	case broken != nil && isTimeout(broken): // which ends the context, too
		return fmt.Errorf("%w: %w", ErrUpload, broken)
	case t.clientLeft(err):
		return fmt.Errorf("%w: %w", ErrClient, err)
	case broken != nil:
		return fmt.Errorf("%w: %w", ErrUpload, broken)
	}
	if errors.Is(err, errNotKept) {
		return &AttemptError{Backend: a.backend.ID(), Attempt: a.n, Reason: "backend", Err: err} // the one before
	}
	if ours && failed.Client && t.req.Context().Err() == nil {
		return fmt.Errorf("%w: %w", ErrRequest, err) // it cannot be written so that it is read in one way
	}
	reason := reasonOf(err)
	a.result.Outcome = a.proven(err)
	return &AttemptError{Backend: a.backend.ID(), Attempt: a.n, Reason: reason, Err: err}
}

// clientLeft reports whether the client has left before err. That a body was interrupted by us looks
// like it.
func (t *trip) clientLeft(err error) bool {
	if !errors.Is(t.req.Context().Err(), context.Canceled) {
		return false
	}
	e, ok := errors.AsType[*transport.Error](err)
	return !t.upload.wasInterrupted() || ok && e.Client
}

// flaw is what was found wrong with a response after its headers.
type flaw struct {
	outcome Outcome
	reason  string
	err     error
}

// judge tells everybody who learns from a result, once. A nil flaw leaves the result as the
// headers made it. Only successes count for the latency: to fail fast must not look like being
// fast. It returns the time, or zero if that was done before.
func (a *attempt) judge(f *flaw) time.Time {
	if a.judged.Swap(true) {
		return time.Time{}
	}
	b, now, res := a.trip.b, time.Now(), a.result
	res.Report = a.report.Load()
	if f != nil {
		res.Outcome, res.Reason, res.Err = f.outcome, f.reason, f.err
	}
	switch res.Outcome {
	case Success:
		a.backend.load.Answered(now, res.Latency)
		a.backend.load.Judged(now, res.Status >= http.StatusInternalServerError)
	case Failure:
		a.backend.load.Judged(now, true)
	}
	if a.breaker != nil {
		a.settle(res)
		b.heed(a.backend.load, a.breaker)
	}
	if a.trip.journal != nil {
		a.trip.journal.ended(res)
	}
	if a.view.learner != nil {
		a.view.learner.Attempted(res)
	}
	b.observers.attempt(res)
	return now
}

// settle tells the breaker how its permit's request ended.
func (a *attempt) settle(res Result) {
	if timed, ok := a.breaker.(interface {
		DoneIn(Permit, Outcome, time.Duration)
	}); ok {
		timed.DoneIn(a.permit, res.Outcome, res.Latency)
		return
	}
	a.breaker.Done(a.permit, res.Outcome)
}

// heed makes the view out of date if a breaker is not as it says.
func (b *Balancer) heed(l *live.Load, breaker Breaker) {
	e := b.view.Load().entry(l, -1)
	if e == nil {
		return
	}
	state, trial := breaker.Status()
	if state != e.state || state == Open && e.eligible && trial.After(time.Now()) {
		b.epoch.Add(1)
	}
}

// leave gives the place on the backend back, once.
func (a *attempt) leave() {
	if !a.left.Swap(true) {
		if !a.settled {
			a.backend.load.Ignored()
		}
		a.backend.load.Leave()
		a.trip.b.patience.freed()
		if a.head != nil {
			a.head()
		}
		if a.cancel != nil {
			a.cancel(nil)
		}
	}
}

func classify(resp *http.Response, err error) Outcome {
	if err != nil {
		return Failure
	}
	return byStatus(resp.StatusCode)
}

// byStatus judges a response by its status alone.
func byStatus(status int) Outcome {
	if status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout {
		return Failure
	}
	return Success
}
