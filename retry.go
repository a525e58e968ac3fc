package lb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// Retry says what is tried again; how often, Config.Retries says. The zero value is what most want.
type Retry struct {
	// Statuses are answers that are not passed on while another backend may give a better one, such
	// as 502, 503 and 504: to idempotent requests that can be sent again. Nil means none. If no
	// other backend is to be had, or the budget is empty, the answer is passed on after all. Name
	// 429 only if backends give it when they have too much to do, and not when one client asks too
	// often: see MaxRest.
	Statuses []int
	// MaxRest bounds for how long a backend is left alone that says Retry-After with one of
	// Statuses, in seconds or as a date: so long nobody new goes there, and it is Resting, for this
	// balancer. It is a wish: at least half of the backends that can serve stay, whoever asks
	// first is left alone, and a request that no other backend takes goes there after all. Zero
	// means 30s, negative that nobody heeds it. The client gets the field as it is, if it gets
	// that answer.
	MaxRest time.Duration
	// IdempotencyKey says that a request with a field of that name is idempotent, whatever its
	// method: backends then execute the same key once. False means that the method decides.
	IdempotencyKey bool
	// TryTimeout bounds each try, from its beginning to the head of the answer. A try that takes
	// longer is a failure of its backend, and the next begins. Zero means no bound but the
	// transport's.
	TryTimeout time.Duration
	// Buffer is how many bytes of a request's body are kept while it is sent, so that it can be
	// sent again: for idempotent requests. A longer body streams, and is not sent twice. Zero means
	// 64 KiB, negative none.
	Buffer int
	// BufferAll bounds what is kept for all requests at a time, in bytes. Zero means 32 MiB.
	BufferAll int64
}

func (r Retry) faults() (errs []error) {
	add := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf("lb: Config.Retry."+format, args...))
		}
	}
	for _, status := range r.Statuses {
		add(status < 400 || status > 599, "Statuses: %d is no failure; name some from 400 to 599", status)
	}
	add(r.TryTimeout < 0, "TryTimeout %v is negative; zero means no bound", r.TryTimeout)
	add(r.MaxRest > 0 && len(r.Statuses) == 0, "MaxRest %v is for Statuses, and there are none; try 503", r.MaxRest)
	add(r.BufferAll < 0, "BufferAll %d is negative; zero means 32 MiB", r.BufferAll)
	add(r.BufferAll > 0 && int64(r.Buffer) > r.BufferAll, "Buffer %d is more than BufferAll %d", r.Buffer, r.BufferAll)
	return errs
}

func (r Retry) defaults() Retry {
	switch {
	case r.Buffer == 0:
		r.Buffer = 64 << 10
	case r.Buffer < 0:
		r.Buffer = 0
	}
	r.MaxRest = max(0, cmp.Or(r.MaxRest, 30*time.Second))
	if r.BufferAll == 0 {
		r.BufferAll = 32 << 20
	}
	r.Statuses = slices.Clone(r.Statuses)
	return r
}

// errTryTimeout is what ends a try that takes longer than Retry.TryTimeout.
var errTryTimeout error = tryTimeout{}

type tryTimeout struct{}

func (tryTimeout) Error() string   { return "lb: no head of an answer within Retry.TryTimeout" }
func (tryTimeout) Timeout() bool   { return true }
func (tryTimeout) Temporary() bool { return true }

// bound gives a try a context of its own, which Retry.TryTimeout ends, or a faster try beside it.
func (a *attempt) bound(ctx context.Context) {
	ctx, cancel := context.WithCancelCause(ctx)
	a.ctx, a.cancel = ctx, cancel
	if d := a.trip.b.cfg.Retry.TryTimeout; d > 0 {
		a.head = time.AfterFunc(d, func() { cancel(errTryTimeout) }).Stop
	}
}

// within is the context that a try begins with.
func (a *attempt) within(ctx context.Context) context.Context {
	if a.ctx != nil {
		return a.ctx
	}
	return ctx
}

// begun notes that a head has come, and returns an error if that was too late.
func (a *attempt) begun() error {
	if a.head != nil && !a.head() {
		return errTryTimeout
	}
	return nil
}

// ended returns what has ended a try that has a context of its own: errTryTimeout, errHedged,
// errRemoved, or nil for anything else.
func (a *attempt) ended() error {
	if a.ctx == nil {
		return nil
	}
	if cause := context.Cause(a.ctx); cause == errTryTimeout || cause == errHedged || cause == errRemoved {
		return cause
	}
	return nil
}

// idempotent reports whether the request may be executed twice.
func (t *trip) idempotent() bool {
	return idempotent(t.req.Method) || t.b.cfg.Retry.IdempotencyKey && len(t.req.Header["Idempotency-Key"]) > 0
}

// idempotent follows RFC 9110, section 9.2.2.
func idempotent(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// again reports whether another backend may be tried after one has failed with err; nil means that
// it has given one of Retry.Statuses. The body, if there is one, then begins anew.
func (t *trip) again(a *attempt, err error) bool {
	if errors.Is(err, ErrRequest) {
		return false // no backend can mend it
	}
	safe := t.idempotent() || err != nil && unsent(err) && t.upload.untouched()
	return safe && t.req.Context().Err() == nil && t.inTime(a.backend) && t.upload.rewind() && t.b.budget.Spend()
}

// inTime reports whether what is left until the request's deadline is enough for an answer, if
// another backend takes as long as b does usually.
func (t *trip) inTime(b *Backend) bool {
	by, ok := t.req.Context().Deadline()
	if !ok {
		return true
	}
	now := time.Now()
	return by.Sub(now) >= b.load.LatencyAt(now)
}

// unsent reports whether no connection came about, so that no backend saw the request.
func unsent(err error) bool {
	if sent, ok := errors.AsType[*transport.Error](err); ok {
		return sent.Stage == transport.NothingSent
	}
	failed, ok := errors.AsType[*AttemptError](err)
	return ok && failed.Reason == "dial"
}

// unwanted reports whether an answer's status is one of Retry.Statuses.
func (t *trip) unwanted(status int) bool {
	return len(t.b.cfg.Retry.Statuses) > 0 && slices.Contains(t.b.cfg.Retry.Statuses, status)
}
