package lb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/internal/live"
	"github.com/go-loadbalancer/lb/transport"
)

// trip is one request's way through the balancer, until its response has ended.
type trip struct {
	b        *Balancer
	req      *http.Request // as it came, with the context of RequestStart; never changed
	upload   *upload       // its body; nil without one
	info     PickInfo
	proxying bool // for ServeHTTP: who closes a response before its end has a client that left

	session     string     // "" for none or a new one
	bound       string     // the backend ID it is bound to; "" if it is not
	tagged      string     // the one that its key remembers
	unreachable *live.Load // of the backend that could not be dialled; nil if none

	answered *download // the response's body; nil if no backend answered
	own      bool      // the client got an answer of our own
	start    time.Time
	sum      Summary
	ended    atomic.Bool
	refused  [4]*live.Load // the first of info.tried
}

// depart begins a trip.
func (b *Balancer) depart(r *http.Request) *trip {
	b.active.Add(1)
	t := &trip{b: b, req: r, start: time.Now()}
	defer func() {
		if t.sum.Request == nil { // an observer panicked
			b.active.Add(-1)
		}
	}()
	t.req = b.observers.requestStart(r)
	peer := clientip.Peer(r)
	t.info = PickInfo{Request: t.req, Trusted: b.trusted.Trust(peer), tried: t.refused[:0]}
	t.info.ClientIP = b.trusted.Client(peer, r.Header)
	t.sum.Request = t.req
	b.budget.earn()
	return t
}

// end sums the request up. Calls after the first do nothing.
func (t *trip) end(err error) {
	if t.ended.Swap(true) {
		return
	}
	defer t.b.active.Add(-1)
	if t.upload != nil && !t.proxying { // net/http's server closes its own
		t.upload.body.Close()
	}
	switch {
	case t.own: // and noted
	case t.answered == nil:
		t.sum.Status, t.sum.Reason = verdict(err)
		t.sum.Err = err
	default:
		t.sum.Err, t.sum.Reason = t.answered.broken()
		t.sum.Bytes = t.answered.bytes.Load()
	}
	t.sum.Duration = time.Since(t.start)
	t.b.observers.request(t.sum)
}

// tried keeps be out of all further choices.
func (t *trip) tried(be *Backend) { t.info.tried = append(t.info.tried, be.load) }

// send tries backends until one answers, or another try is useless, unsafe or too dear. Out is
// what to send: t.req with its headers made ready. The balancer answers for its body.
func (t *trip) send(out *http.Request) (*http.Response, error) {
	if out.Body != nil && out.Body != http.NoBody {
		t.upload = &upload{body: out.Body}
	}
	t.recall()
	var failed error
	for n := range 1 + t.b.cfg.Retries {
		if n > 0 && !t.again(out, failed) {
			break
		}
		now := time.Now()
		t.info.Attempt, t.info.Now = n, now
		a, err := t.b.seat(t, now)
		if err != nil {
			return nil, cmp.Or(failed, err) // what a backend did tells more than that no other is left
		}
		t.sum.Attempts = n + 1
		a.n, a.start = n, now
		resp, err := a.run(out)
		if err == nil {
			t.settle(resp, a.backend)
			return resp, nil
		}
		failed = err
		t.tried(a.backend)
	}
	return nil, failed
}

// recall finds the request's session and where it is bound. While the backend that the key
// remembers is there and fit, no store is asked. A failing store costs stickiness, no more.
func (t *trip) recall() {
	if t.b.cfg.SessionKey == nil {
		return
	}
	t.session, t.tagged = t.b.cfg.SessionKey.Read(t.req)
	t.sum.Session, t.bound = t.session, t.tagged
	if t.session == "" || t.b.cfg.Sessions == nil {
		return
	}
	if be := t.b.cfg.Pool.Snapshot().Find(t.tagged); be != nil && be.facts&unfit == 0 {
		return
	}
	if id, err := t.b.cfg.Sessions.Lookup(t.req.Context(), t.session); err == nil && id != "" {
		t.bound = id
	}
}

// settle binds the session to the backend that answered, unless it was only served there this
// once, and gives the client what it must remember.
func (t *trip) settle(resp *http.Response, be *Backend) {
	key, id := t.b.cfg.SessionKey, be.ID()
	if key == nil {
		return
	}
	switch {
	case t.session == "":
		t.sum.Bound = id
	case t.bound == id:
		if t.tagged == id && t.b.seen != nil {
			t.b.seen(t.session, id)
		}
	case t.mustMove():
		if t.b.cfg.Sessions != nil {
			if now, err := t.b.cfg.Sessions.Bind(t.req.Context(), t.session, t.bound, id); err == nil && now != "" {
				id = now // somebody else was faster
			}
		}
		t.sum.From, t.sum.Bound = t.bound, id
	default:
		return
	}
	if resp.Header == nil {
		resp.Header = make(http.Header)
	}
	key.Write(resp.Header, t.req, t.session, id)
}

// mustMove reports whether the session's backend cannot keep it: it is not known, out, gone, or
// not to be reached. One that is only full or stopped by its breaker keeps it.
func (t *trip) mustMove() bool {
	be := t.b.cfg.Pool.Snapshot().Find(t.bound)
	return t.bound == "" || be == nil || be.facts&unfit != 0 || t.unreachable == be.load
}

// again reports whether another backend may be tried after err.
func (t *trip) again(out *http.Request, err error) bool {
	safe := t.upload.untouched() && (unsent(err) || t.upload == nil && idempotent(out.Method))
	return safe && t.req.Context().Err() == nil && t.b.budget.spend()
}

// unsent reports whether no connection came about, so that no backend saw the request.
func unsent(err error) bool {
	failed, ok := errors.AsType[*AttemptError](err)
	return ok && failed.Reason == "dial"
}

// idempotent follows RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// attempt is one try: a place on a backend, which it holds until the response has ended.
type attempt struct {
	trip    *trip
	view    *view // that it was chosen from
	backend *Backend
	breaker Breaker // nil if there is none
	permit  Permit

	n      int
	start  time.Time
	result Result // as the headers made it; not changed after that
	left   atomic.Bool
	judged atomic.Bool
}

// run sends the request to the backend. Without a response, or if the transport panics, the
// place is given back before it returns; else the response's body does that.
func (a *attempt) run(out *http.Request) (resp *http.Response, err error) {
	a.result = Result{Request: a.trip.req, Backend: a.backend, Attempt: a.n}
	defer func() {
		if resp == nil {
			a.result.Latency = time.Since(a.start)
			a.judge(nil)
			a.leave()
		}
	}()
	got, err := a.trip.b.cfg.Transport.RoundTrip(a.aim(out))
	if err == nil {
		err = switched(got, out)
	}
	if err != nil {
		a.result.Outcome, a.result.Err = a.blame(err)
		_, a.result.Reason = verdict(a.result.Err)
		return nil, a.result.Err
	}
	a.result.Latency = time.Since(a.start)
	a.result.Status = got.StatusCode
	a.result.Outcome = a.trip.b.cfg.Classify(got, nil)
	if a.result.Outcome == Failure {
		a.result.Reason = "status"
	}
	a.trip.sum.Status, a.trip.sum.Backend = got.StatusCode, a.backend
	a.watch(got)
	return got, nil
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
		aimed.Body, aimed.GetBody = t.upload, nil
	}
	ctx := out.Context()
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

// blame says whose fault an error is: the client's, who left or broke its body off, or the backend's.
func (a *attempt) blame(err error) (Outcome, error) {
	t := a.trip
	switch {
	case errors.Is(t.req.Context().Err(), context.Canceled):
		return Neutral, fmt.Errorf("%w: %w", ErrClient, err)
	case t.upload.brokenOff() != nil:
		return Neutral, fmt.Errorf("%w: %w", ErrUpload, t.upload.brokenOff())
	}
	reason := reasonOf(err)
	if reason == "dial" {
		t.unreachable = a.backend.load
	}
	return t.b.cfg.Classify(nil, err), &AttemptError{Backend: a.backend.ID(), Attempt: a.n, Reason: reason, Err: err}
}

// flaw is what was found wrong with a response after its headers.
type flaw struct {
	outcome Outcome
	reason  string
	err     error
}

// judge tells everybody who learns from a result, once. A nil flaw leaves the result as the
// headers made it. Only successes count for the latency: to fail fast must not look like being
// fast.
func (a *attempt) judge(f *flaw) {
	if a.judged.Swap(true) {
		return
	}
	b, now, res := a.trip.b, time.Now(), a.result
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
		a.breaker.Done(a.permit, res.Outcome)
		b.heed(a.backend.load, a.breaker)
	}
	if a.view.learner != nil {
		a.view.learner.Attempted(res)
	}
	b.observers.attempt(res)
}

// heed makes the view out of date if a breaker is not as it says.
func (b *Balancer) heed(l *live.Load, breaker Breaker) {
	e := b.view.Load().entries[l]
	if e == nil {
		return
	}
	if state, _ := breaker.Status(); state != e.state {
		b.epoch.Add(1)
	}
}

// leave gives the place on the backend back, once.
func (a *attempt) leave() {
	if !a.left.Swap(true) {
		a.backend.load.Leave()
	}
}

func classify(resp *http.Response, err error) Outcome {
	if err != nil || resp.StatusCode >= http.StatusBadGateway && resp.StatusCode <= http.StatusGatewayTimeout {
		return Failure
	}
	return Success
}

// budget bounds retries to a fifth of all requests and a reserve of ten. It counts what is
// spent of the reserve, in fifths of a retry.
type budget struct{ spent atomic.Int64 }

func (b *budget) earn() {
	if b.spent.Load() > 0 && b.spent.Add(-1) < 0 {
		b.spent.Add(1)
	}
}

func (b *budget) spend() bool {
	const cost, reserve = 5, 5 * 10
	if b.spent.Add(cost) <= reserve {
		return true
	}
	b.spent.Add(-cost)
	return false
}
