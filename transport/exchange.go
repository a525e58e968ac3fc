package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/h1"
)

const (
	// lazily is how late the end of a context may be noticed while a head is waited for: only
	// after it a function is bound to the context, which costs six allocations.
	lazily = 20 * time.Millisecond
	// maxStale is how many idle connections may turn out to be closed before a new one is made.
	maxStale = 8
	// maxInformational bounds the 1xx of one answer.
	maxInformational = 5
)

var past = time.Unix(1, 0)

// Exchange is one request's answer. The zero value is ready for Do, which fills it, and is ready
// again after Close. One goroutine uses it at a time.
type Exchange struct {
	t     *Transport
	ctx   context.Context
	r     *Request
	pool  *pool
	c     *conn
	small *[]byte // a small body

	sender     *sender
	stop       func() bool // unbinds what is bound to ctx; nil: nothing is
	headBy     time.Time   // when the head is due; zero: no bound, or not yet known
	continueBy time.Time   // until when 100 Continue is waited for; zero: it is not
	sent       bool        // some of the request was
	heard      bool        // some of an answer came

	status   int
	length   int64
	declared int64
	upgrade  string

	kind     bodyKind
	left     int64 // of a body of known length
	piece    []byte
	over     bool  // the body was read to its clean end
	spent    bool  // the connection must not be used again
	fault    error // what ended the body
	bodyBy   time.Time
	trailer  http.Header
	limited  io.LimitedReader
	cut      atomic.Bool // Close was called while the body was read
	taken    bool        // by Tunnel
	released bool        // the request's body
}

// Do sends r and waits for the final head. It is for schemes that Direct names. After an error,
// which is an *Error, x is closed; otherwise the caller closes it.
func (t *Transport) Do(ctx context.Context, r *Request, x *Exchange) error {
	x.start(t, ctx, r)
	answered := false
	defer func() {
		if !answered { // what the caller gave us may have panicked
			x.spent = true
			x.Close()
		}
	}()
	err := x.do()
	if answered = err == nil; answered {
		return nil
	}
	s, left := x.sender, x.ctx.Err() != nil // Close may end a context
	x.spent = true
	x.Close()
	return x.explain(err, s, left)
}

func (x *Exchange) start(t *Transport, ctx context.Context, r *Request) {
	x.t, x.ctx, x.r, x.pool, x.c = t, ctx, r, nil, nil
	x.sender, x.stop, x.headBy, x.continueBy, x.sent, x.heard = nil, nil, time.Time{}, time.Time{}, false, false
	x.status, x.length, x.declared, x.upgrade = 0, 0, -1, ""
	x.kind, x.left, x.piece, x.over, x.spent, x.fault, x.trailer = bodyNone, 0, nil, false, false, nil, nil
	x.bodyBy, x.taken, x.released = time.Time{}, false, false
	x.cut.Store(false)
}

// explain makes an *Error of what ended x without an answer.
func (x *Exchange) explain(err error, s *sender, left bool) error {
	e := &Error{Err: err}
	switch {
	case x.heard:
		e.Stage = BrokenOff
	case x.sent:
		e.Stage = NoAnswer
	}
	var own *requestError
	switch {
	case errors.As(err, &own):
		e.Client, e.Err = true, own.err
	case s != nil && s.fault() != nil:
		e.Client, e.Err = true, s.fault()
	case left:
		e.Client, e.Err = true, endOf(x.ctx)
	case err == context.DeadlineExceeded:
		e.Client = true
	}
	return e
}

func (x *Exchange) do() error {
	if err := x.r.check(); err != nil {
		return err
	}
	if err := endOf(x.ctx); err != nil {
		return err
	}
	if x.t.closed.Load() {
		return ErrClosed
	}
	if x.r.isSmall() {
		if err := x.readSmall(); err != nil {
			return err
		}
	}
	x.pool = x.t.pool(x.r.Scheme, x.r.Addr)
	err := x.attempt(false)
	if err == nil || !x.mayRepeat(err) {
		return err
	}
	x.lose()
	return x.attempt(true)
}

// mayRepeat reports whether the request may be sent again after err: a used connection died
// without a byte of an answer, and sending twice does no harm.
func (x *Exchange) mayRepeat(err error) bool {
	return x.r.Idempotent && x.c != nil && x.c.reused && !x.heard && dead(err) && x.ctx.Err() == nil &&
		(!x.r.hasBody() || x.small != nil)
}

// lose closes the connection, and leaves x as it was before it.
func (x *Exchange) lose() {
	if x.stop != nil {
		x.stop()
		x.stop = nil
	}
	x.c.shut()
	x.pool.free()
	x.c, x.headBy = nil, time.Time{}
}

// attempt sends the request over a connection and waits for the final head.
func (x *Exchange) attempt(fresh bool) error {
	w := want{fresh: fresh, safe: !x.r.Idempotent}
	if x.t.cfg.ProxyProtocol {
		w.client, _ = x.ctx.Value(clientKey{}).(netip.AddrPort)
	}
	for i := range maxStale + 1 {
		if w.now, w.fresh = x.r.Now, fresh || i == maxStale; i > 0 || fresh || w.safe || w.now.IsZero() {
			w.now = time.Now()
		}
		c, err := x.pool.get(x.ctx, &w)
		if err != nil {
			return err
		}
		x.c = c
		c.asked = w.now
		c.begin()
		if err := x.render(); err != nil {
			return err
		}
		err = x.send(w.now)
		x.sent = x.sent || c.sent > 0
		x.heard = x.heard || c.w > 0
		if err == nil {
			return x.await()
		}
		if c.sent > 0 || !c.reused || err != errStale && !dead(err) {
			return err
		}
		x.lose()
	}
	return errStale
}

// send writes the request, and where it can waits for the first bytes of an answer.
func (x *Exchange) send(now time.Time) error {
	long := x.r.hasBody() && x.small == nil
	if !long && x.t.cfg.HeaderTimeout > 0 {
		x.headBy = now.Add(x.t.cfg.HeaderTimeout)
	}
	if long && x.r.Expect {
		x.continueBy = now.Add(x.t.cfg.ContinueTimeout)
		long = false
	}
	if long {
		return x.upload()
	}
	for range 3 { // a deadline that was left over may end the first
		if err := x.arm(now); err != nil {
			return err
		}
		err := x.c.exchange()
		switch {
		case err == errShort:
			return x.sendRest()
		case err == nil || !late(err):
			return err
		}
		if err := x.overdue(); err != nil || x.c.sent > 0 {
			return err
		}
		now = time.Now()
	}
	return errStale
}

// sendRest writes what the first write left.
func (x *Exchange) sendRest() error {
	x.watch()
	if d := x.t.cfg.BodyTimeout; d > 0 {
		x.c.SetWriteDeadline(time.Now().Add(d))
	} else {
		x.c.SetWriteDeadline(time.Time{})
	}
	if err := endOf(x.ctx); err != nil {
		return err
	}
	return x.c.writeRest()
}

// upload writes the head and has the body follow.
func (x *Exchange) upload() error {
	x.c.stopBy(time.Time{})
	if err := x.c.check(); err != nil {
		return err
	}
	if err := x.sendRest(); err != nil {
		return err
	}
	x.sendBody()
	return nil
}

// await reads until the final head.
func (x *Exchange) await() error {
	c, limits := x.c, h1.Limits{Bytes: x.t.cfg.MaxHead}
	for informational := 0; informational <= maxInformational; {
		n, err := c.head.Parse(c.unread(), x.r.Method, limits, &c.cache)
		if err != nil {
			return err
		}
		if n == 0 {
			if err := x.hear(); err != nil {
				return err
			}
			continue
		}
		c.r += n
		if c.head.Status >= 200 || c.head.Status == http.StatusSwitchingProtocols {
			return x.arrive()
		}
		if err := x.inform(); err != nil {
			return err
		}
		informational++
	}
	return &h1.Error{What: fmt.Sprintf("more than %d informational responses", maxInformational)}
}

// inform deals with a 1xx.
func (x *Exchange) inform() error {
	h := &x.c.head
	if x.r.Informational != nil || x.r.informational != nil {
		fields := make(http.Header, len(h.Fields))
		h.AddTo(fields)
		if x.r.informational != nil {
			if err := x.r.informational(h.Status, fields); err != nil {
				return &requestError{err}
			}
		} else {
			x.r.Informational(h.Status, fields)
		}
	}
	if h.Status == http.StatusContinue && !x.continueBy.IsZero() {
		x.sendBody()
	}
	return nil
}

// arrive notes the final head.
func (x *Exchange) arrive() error {
	h := &x.c.head
	x.status, x.length, x.declared, x.upgrade = h.Status, h.Length, h.Declared, h.Upgrade
	x.c.keepAlive = h.KeepAlive
	x.left = h.Length
	switch {
	case h.Status == http.StatusSwitchingProtocols:
		if !asked(x.r.Upgrade, h.Upgrade) {
			return &h1.Error{What: "101 for a protocol that was not asked for"}
		}
		x.kind, x.spent = bodyTunnel, true
	case h.Chunked:
		x.kind = bodyChunked
		x.c.chunked.Reset()
	case h.Length < 0:
		x.kind, x.spent = bodyUntilClose, true
	case h.Length > 0:
		x.kind = bodyLength
	default:
		x.kind, x.over = bodyNone, true
	}
	x.spent = x.spent || h.Close || !x.continueBy.IsZero()
	if x.sender != nil && (x.status >= 300 || h.Close) && x.kind != bodyTunnel {
		x.sender.halt() // it will not be used
	}
	return nil
}

// asked reports whether got is one of the protocols of the list want.
func asked(want, got string) bool {
	for p := range strings.SplitSeq(want, ",") {
		if got != "" && strings.EqualFold(strings.TrimSpace(p), got) {
			return true
		}
	}
	return false
}

// Status is the final status.
func (x *Exchange) Status() int { return x.status }

// Length is how long the body is, -1 means unknown.
func (x *Exchange) Length() int64 { return x.length }

// Declared is what Content-Length says, -1 without one: for HEAD and 304 the length of a body that
// is not sent.
func (x *Exchange) Declared() int64 { return x.declared }

// Upgrade is the protocol that the backend changes to, or offers.
func (x *Exchange) Upgrade() string { return x.upgrade }

// AddHeader adds the answer's end-to-end fields to dst. It must be called before Close.
func (x *Exchange) AddHeader(dst http.Header) {
	if x.c != nil {
		x.c.head.AddTo(dst)
	}
}

// Trailer returns the trailers, after the body's end. Nil means none.
func (x *Exchange) Trailer() http.Header { return x.trailer }

// Tunnel takes the connection out after a 101, with what was read of it already. The caller
// closes it. Close, called after the tunnel's end, gives its place among MaxConns to another.
func (x *Exchange) Tunnel() (conn net.Conn, buffered []byte) {
	if x.kind != bodyTunnel || x.c == nil || x.taken {
		return nil, nil
	}
	x.taken = true
	x.unwatch()
	x.c.SetDeadline(time.Time{})
	buffered = append(buffered, x.c.unread()...)
	return x.c.Conn, buffered
}

// Close ends the exchange: the connection is kept when everything was read cleanly, and closed
// otherwise. No goroutine of the exchange is left after it. It may be called twice.
func (x *Exchange) Close() {
	if x.small != nil {
		x.t.buffers.put(x.small)
		x.small = nil
	}
	if x.r != nil && x.sender == nil {
		x.releaseBody()
	}
	c := x.c
	if c == nil {
		return
	}
	x.c = nil
	clean := x.over && !x.spent && x.fault == nil && c.r == c.w
	if x.sender != nil {
		clean = x.sender.finish(clean) && clean
		x.sender = nil
	}
	clean = x.unwatch() && clean
	x.piece, x.limited.R = nil, nil
	if clean {
		c.unlend()
		x.pool.put(c, time.Now())
		return
	}
	if x.taken {
		c.unlend()
	} else {
		c.shut()
	}
	x.pool.free()
}
