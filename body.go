package lb

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// upload is a request's body. It knows whether anything was read of it, which rules out another
// try, and whether it broke off, which is no backend's fault. Close does nothing, so that it
// outlives a failed try.
type upload struct {
	body    io.ReadCloser
	touched atomic.Bool
	whole   atomic.Bool // its end was read
	left    int64       // bytes that are still to come; -1: unknown. For Read alone
	broken  atomic.Pointer[error]

	end         func()                   // called at the end; may be nil
	control     *http.ResponseController // nil: the client is in this program, and is waited for
	idle        time.Duration            // that the client may pause; negative: for ever
	mu          sync.Mutex               // held while the deadline is set
	until       time.Time                // the deadline; zero: none
	stopped     bool                     // nobody wants the rest
	interrupted bool                     // a Read was ended from outside, and nothing more will come

	reading  sync.Mutex           // held while a pass reads
	passed   atomic.Bool          // there has been one
	pass     atomic.Pointer[pass] // whose turn it is; nil: nobody's
	got      int64                // bytes read, by all passes
	kept     []byte               // those, if all are kept
	most     atomic.Int64         // of kept; zero: nothing is kept, or no longer
	all      int64                // of total
	released atomic.Bool          // the request has ended
	total    *atomic.Int64        // bytes kept of all uploads; nil: nothing is kept
}

func (u *upload) Read(p []byte) (int, error) {
	u.touched.Store(true)
	if !u.renew() {
		return 0, errStopped
	}
	n, err := u.body.Read(p)
	if u.left > 0 {
		u.left -= int64(n)
	}
	switch {
	case err == io.EOF, err == nil && u.left == 0: // nobody may ask for the end itself
		u.ended()
	case err != nil && !u.isStopped():
		u.broken.CompareAndSwap(nil, &err)
	}
	return n, err
}

// ended is called after the last part.
func (u *upload) ended() {
	u.whole.Store(true)
	if u.end != nil {
		u.end()
	}
	u.relax()
}

// renew gives the client time for the next part, and up to a sixteenth more, which saves a deadline
// for each.
func (u *upload) renew() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.control != nil && u.idle > 0 && !u.stopped {
		if now := time.Now(); u.until.Sub(now) < u.idle {
			u.until = now.Add(u.idle + u.idle/16)
			_ = u.control.SetReadDeadline(u.until)
		}
	}
	return !u.stopped
}

// relax ends the client's hurry, after its last part.
func (u *upload) relax() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.control != nil && u.idle > 0 && !u.stopped {
		u.until = time.Time{}
		_ = u.control.SetReadDeadline(u.until)
	}
}

// stop ends all further Reads, and one that waits, unless another try may need what that brings. That
// the client's time was over already is remembered: it may be why nobody wants the rest.
func (u *upload) stop() {
	if u.reading.TryLock() {
		defer u.reading.Unlock()
	} else if u.most.Load() == 0 && !u.whole.Load() {
		u.interrupt()
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped = true
}

// interrupt makes a Read that waits return, and all further ones. Nothing more comes after it, and
// net/http takes it for the end of the client: the context of all that comes over the connection ends.
func (u *upload) interrupt() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stopped, u.interrupted = true, true
	if !u.until.IsZero() && time.Now().After(u.until) {
		late := error(os.ErrDeadlineExceeded)
		u.broken.CompareAndSwap(nil, &late)
	}
	if u.control != nil {
		_ = u.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// wasInterrupted reports whether it was us who ended the body.
func (u *upload) wasInterrupted() bool {
	if u == nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.interrupted
}

func (u *upload) isStopped() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.stopped
}

var errStopped = errors.New("lb: the rest of the body is not wanted")

// Close leaves the body to the trip.
func (u *upload) Close() error { return nil }

// uploads reports whether a backend may be waiting for the client: the request's body has yet to come,
// and is neither short nor this program's own.
func (t *trip) uploads() bool {
	if t.upload == nil || t.upload.whole.Load() {
		return false
	}
	n := t.req.ContentLength
	return t.w != nil || n <= 0 || n > small
}

func (u *upload) untouched() bool { return u == nil || !u.touched.Load() }

// brokenOff returns what broke the body off, or nil.
func (u *upload) brokenOff() error {
	if u == nil || u.broken.Load() == nil {
		return nil
	}
	return *u.broken.Load()
}

// streaming is how long a response may take before its attempt is judged by what has come of
// it, so that a stream does not hold a breaker's permit for hours.
const streaming = time.Second

// download is a response's body. With its end, whichever comes first of the last byte, an error
// and Close, the attempt gives its place back.
type download struct {
	io.ReadCloser
	attempt *attempt
	resp    *http.Response
	bytes   atomic.Int64
	whole   atomic.Bool // the end was read
	tunnel  bool
	failure atomic.Pointer[error] // what broke it off
}

// watch puts a download around the response's body.
func (a *attempt) watch(resp *http.Response) {
	delete(resp.Trailer, loadHeader) // it may be announced
	body := &download{ReadCloser: resp.Body, attempt: a, resp: resp}
	a.trip.answered, resp.Body = body, body
	if conn, ok := body.ReadCloser.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		body.tunnel = true
		a.judge(nil)
		resp.Body = &duplex{download: body, conn: conn}
		a.trip.b.tunnels.add(conn)
		a.backend.load.Hold(conn)
		return
	}
	a.hold()
}

func (d *download) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	d.bytes.Add(int64(n))
	switch a := d.attempt; {
	case err == io.EOF:
		a.takeReport(d.resp.Trailer)
		d.whole.Store(true)
		d.finish(nil)
	case err != nil:
		d.finish(err)
	case !a.judged.Load() && time.Since(a.start)-a.result.Latency > streaming:
		a.judge(nil)
	}
	return n, err
}

// Close ends the response for whoever does not want the rest of it.
func (d *download) Close() error {
	defer d.finish(nil)
	return d.ReadCloser.Close()
}

// finish judges the attempt, gives its place back, and ends the trip if nobody else does.
func (d *download) finish(err error) {
	a := d.attempt
	if err != nil {
		d.failure.CompareAndSwap(nil, &err)
	}
	defer a.trip.end(nil) // all of this also if somebody who is told panics
	if d.tunnel {
		defer a.trip.b.tunnels.remove(d.ReadCloser)
		defer a.backend.load.Release(d.ReadCloser)
	} else {
		defer a.release()
	}
	defer a.leave()
	a.judge(d.flaw())
}

// flaw says what is wrong with how the response ends. A client that left proves nothing, and a
// response that broke off is its backend's failure, which raises the error rate even when the
// attempt has been judged by its beginning.
func (d *download) flaw() *flaw {
	reason, err := d.broken()
	if reason == "" {
		return nil
	}
	if reason == "client" || d.attempt.trip.upload.brokenOff() != nil || d.attempt.ended() == errRemoved {
		return &flaw{outcome: Neutral, reason: reason, err: err}
	}
	if d.attempt.judged.Load() {
		d.attempt.backend.load.Judged(time.Now(), true)
	}
	return &flaw{outcome: Failure, reason: reason, err: err}
}

// broken says why the response ended before its end, or returns nothing.
func (d *download) broken() (reason string, err error) {
	ctx := d.attempt.trip.req.Context().Err()
	failure := d.failure.Load()
	switch {
	case d.tunnel || d.whole.Load():
		return "", nil
	case errors.Is(ctx, context.Canceled):
		return "client", ErrClient
	case failure == nil:
		return "", nil
	case isTimeout(*failure):
		return "timeout", *failure
	}
	return "truncated", *failure
}

// duplex is a download that can be written to: what RoundTrip returns after a switch of protocols.
type duplex struct {
	*download
	conn io.ReadWriteCloser
}

func (d *duplex) Write(p []byte) (int, error) { return d.conn.Write(p) }

// CloseWrite passes a half-close on.
func (d *duplex) CloseWrite() error {
	if half, ok := d.conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return http.ErrNotSupported
}

// tunnels are the connections that have been switched to another protocol, for Shutdown.
type tunnels struct {
	mu   sync.Mutex
	open map[io.Closer]struct{}
}

func (ts *tunnels) add(c io.Closer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if ts.open == nil {
		ts.open = make(map[io.Closer]struct{})
	}
	ts.open[c] = struct{}{}
}

func (ts *tunnels) remove(c io.Closer) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.open, c)
}

func (ts *tunnels) close() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	for c := range ts.open {
		c.Close()
	}
}
