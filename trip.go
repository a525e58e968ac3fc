package lb

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/clientip"
	"github.com/go-loadbalancer/lb/internal/live"
)

// trip is one request's way through the balancer, until its response has ended.
type trip struct {
	b      *Balancer
	req    *http.Request // as it came, with the context of RequestStart; never changed
	upload *upload       // its body; nil without one
	peer   netip.Addr    // who opened the connection
	info   PickInfo

	session     string     // "" for none or a new one
	bound       string     // the backend ID it is bound to; "" if it is not
	tagged      string     // the one that its key remembers
	unreachable *live.Load // of the backend that could not be dialled; nil if none
	full        bool       // the last choice found a backend full
	denied      bool       // and a breaker that said no

	journal  *journal  // nil: nobody wants to know
	answered *download // the response's body; nil if no backend answered
	noted    bool      // the summary says already how the response ended
	start    time.Time
	until    time.Time // when the response had ended; zero: that was not noted
	sum      Summary
	ended    atomic.Bool
	refused  [4]*live.Load // the first of info.tried

	// What follows is for ServeHTTP.
	w                 http.ResponseWriter
	edit              edit
	out               outgoing
	native            *native
	page              page
	by                *attempt // who gave the answer
	first             attempt  // of any number
	foreign           bool     // another transport was asked, which may remember us
	small             []byte   // a body that was read before it was sent
	reader            bytes.Reader
	unblock           func()
	tellInformational func(int, http.Header)
}

// depart begins a trip.
func (b *Balancer) depart(r *http.Request) *trip {
	b.active.Add(1)
	t, _ := b.trips.Get().(*trip)
	if t == nil {
		t = &trip{native: new(native)}
		t.tellInformational = t.informational
	}
	t.b, t.req, t.start = b, r, time.Now()
	defer func() {
		if t.sum.Request == nil { // an observer panicked
			b.active.Add(-1)
		}
	}()
	t.req = b.observers.requestStart(r)
	t.peer = clientip.Peer(r)
	t.info = PickInfo{Request: t.req, Trusted: b.trusted.Trust(t.peer), tried: t.refused[:0]}
	t.info.ClientIP = b.trusted.Client(t.peer, r.Header)
	if b.explains {
		t.asked()
	}
	t.sum.Request = t.req
	b.budget.Earn()
	return t
}

// end sums the request up. Calls after the first do nothing.
func (t *trip) end(err error) {
	if t.ended.Swap(true) {
		return
	}
	defer t.b.active.Add(-1)
	if t.upload != nil {
		t.upload.release()
		if t.w == nil { // net/http's server closes its own
			t.upload.body.Close()
		}
	}
	switch {
	case t.noted:
	case t.answered == nil:
		t.sum.Status, t.sum.Reason = verdict(err)
		t.sum.Err = err
	default:
		t.sum.Reason, t.sum.Err = t.answered.broken()
		t.sum.Bytes = t.answered.bytes.Load()
	}
	if t.until.IsZero() {
		t.until = time.Now()
	}
	t.sum.Duration = t.until.Sub(t.start)
	if t.journal != nil {
		t.sum.Explanation = t.journal.read()
	}
	t.b.observers.request(t.sum)
}

// recycle makes the trip ready for another request, if nobody can remember this one.
func (t *trip) recycle() {
	if t.foreign {
		return
	}
	b := t.b
	*t = trip{native: t.native, tellInformational: t.tellInformational}
	b.trips.Put(t)
}

// carry makes the trip answer for a request's body.
func (t *trip) carry(body io.ReadCloser) {
	if body != nil && body != http.NoBody {
		t.upload = &upload{body: body, left: -1}
	}
}

// keepBody has the body kept as it is sent, where that may be of use.
func (t *trip) keepBody() {
	if r := &t.b.cfg.Retry; r.Buffer > 0 && t.req.ContentLength <= int64(r.Buffer) && t.idempotent() {
		t.upload.remember(r.Buffer, r.BufferAll, &t.b.kept)
	}
}

// tried keeps be out of all further choices.
func (t *trip) tried(be *Backend) { t.info.tried = append(t.info.tried, be.load) }

// trier speaks to backends for one of the two faces.
type trier interface {
	// try makes one attempt, and leaves the answer in it. When it fails, it has given its place
	// back. It may run beside another.
	try(*attempt) error
	// take makes the attempt's answer the request's.
	take(*attempt)
	// context is the one that tries begin with.
	context() context.Context
}

// attempts tries backends until one answers, or another try is useless, unsafe or too dear.
func (t *trip) attempts(by trier) error {
	t.recall()
	var held *attempt              // its answer is passed on, unless another backend betters it
	defer func() { held.drop() }() // if a picker panics
	var failed error
	for n := 0; ; n++ {
		a, err := t.next(n)
		if err != nil {
			failed = cmp.Or(failed, err) // what a backend did tells more than that no other is left
			break
		}
		held.drop()
		held = nil
		if a, failed = t.race(by, a); failed == nil {
			held = a
		}
		if failed == nil && !t.unwanted(a.result.Status) || n >= t.b.cfg.Retries || !t.again(a, failed) {
			break
		}
		t.tried(a.backend)
	}
	if held == nil {
		return failed
	}
	answer := held
	held = nil
	t.sum.Status, t.sum.Backend = answer.result.Status, answer.backend
	by.take(answer)
	return nil
}

// next takes a place for the n-th try.
func (t *trip) next(n int) (*attempt, error) {
	now := t.start
	if n > 0 || t.small != nil || t.b.cfg.Sessions != nil { // time may have passed
		now = time.Now()
	}
	t.info.Attempt, t.info.Now = t.sum.Attempts, now
	a, err := t.b.seat(t)
	if err != nil {
		return nil, err
	}
	a.n, a.start = t.sum.Attempts, t.info.Now // it may have waited
	a.lost = t.b.cfg.Pauses.lost(a.start)
	t.sum.Attempts++
	if t.uploads() {
		a.settled = true
		a.backend.load.Ignored()
	}
	a.result = Result{Request: t.req, Backend: a.backend, Attempt: a.n}
	return a, nil
}

// sending is a trip for RoundTrip: out is t.req with its headers made ready.
type sending struct {
	*trip
	out  *http.Request
	resp *http.Response
}

// try sends the request to one backend.
func (s *sending) try(a *attempt) error { return a.run(s.out) }

func (s *sending) context() context.Context { return s.out.Context() }

// take gives the response to whoever asked. Its body ends the attempt, and the trip.
func (s *sending) take(a *attempt) {
	a.takeReport(a.resp.Header)
	if a.resp.ContentLength < 0 {
		unannounce(a.resp.Header)
	}
	a.watch(a.resp)
	defer func() {
		if s.resp == nil { // panicking
			a.resp.Body.Close()
		}
	}()
	s.settle(a.resp.Header, a.backend)
	s.resp = a.resp
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
func (t *trip) settle(h http.Header, be *Backend) {
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
	key.Write(h, t.req, t.session, id)
}

// mustMove reports whether the session's backend cannot keep it: it is not known, out, gone, or
// not to be reached. One that is only suspect, full or stopped by its breaker keeps it.
func (t *trip) mustMove() bool {
	be := t.b.cfg.Pool.Snapshot().Find(t.bound)
	return t.bound == "" || be == nil || be.facts&(Down|Ejected) != 0 || t.unreachable == be.load
}
