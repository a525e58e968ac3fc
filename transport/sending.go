package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// maxRefusals is how often net/http may send a request again that its backend refused, or would
// not take over this connection: it would go on for more than half a minute.
const maxRefusals = 2

// sending is a request that net/http sends: what is known about it, and what bounds it. Net/http
// has no bound of its own for a body that does not move, for a stream that cannot be opened, and
// for a request that is refused again and again.
type sending struct {
	cfg    *Config
	ctx    context.Context // the request's
	body   io.ReadCloser   // the request's; nil without one
	cancel context.CancelCauseFunc

	mu       sync.Mutex
	timer    *time.Timer // has look called; nil before a connection was chosen
	next     time.Time   // when it will be; zero: not
	conns    int         // that were chosen for it
	since    time.Time   // when the request was sent, or its body last moved
	sent     bool        // all of it was
	reading  bool        // its body is waited for
	broken   bool        // its body failed, which is the client's fault
	heard    bool        // a final head came
	awaiting time.Time   // since when a part of the answer's body is waited for; zero: it is not
	ended    bool
	why      error // the bound that passed
}

// aim returns a shallow copy of req for net/http, which knows no scheme h2c.
func (s *sending) aim(req *http.Request) *http.Request {
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.cancel = cancel
	out := req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { s.connect(req) },
		WroteRequest: func(info httptrace.WroteRequestInfo) { s.wrote(info.Err) },
	}))
	if req.URL.Scheme == "h2c" {
		u := *req.URL
		u.Scheme = "http"
		out.URL, out.Host = &u, cmp.Or(req.Host, req.URL.Host)
	}
	if s.sent = req.Body == nil || req.Body == http.NoBody; !s.sent {
		s.body = req.Body
		out.Body = &watchedBody{req.Body, s}
	}
	return out
}

// connect is called when a connection was chosen.
func (s *sending) connect(req *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns++; s.conns > 1 {
		if s.conns > 1+maxRefusals {
			s.failLocked(&refusedError{s.conns - 1})
		}
		return
	}
	s.since = time.Now()
	if !s.sent && listed(req.Header["Expect"], "100-continue") {
		s.since = s.since.Add(s.cfg.ContinueTimeout)
	}
	s.armLocked()
}

// wrote is called when the request was sent.
func (s *sending) wrote(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && !s.sent {
		s.sent, s.since = true, time.Now()
		s.armLocked()
	}
}

// read is called before and after each read of the request's body.
func (s *sending) read(now bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = now
	s.broken = s.broken || err != nil && err != io.EOF
	if t := time.Now(); t.After(s.since) {
		s.since = t
	}
}

// hear is called when the final head came.
func (s *sending) hear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = true
}

// await is called before and after each read of the answer's body.
func (s *sending) await(now bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaiting = time.Time{}
	if now && s.cfg.BodyTimeout > 0 {
		s.awaiting = time.Now()
		s.armLocked()
	}
}

// end ends the bounds. What net/http still does with the request is not wanted.
func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended = true; s.timer != nil {
		s.timer.Stop()
	}
	s.cancel(nil)
}

// armLocked has look called when the next bound may have passed.
func (s *sending) armLocked() {
	due, _ := s.dueLocked()
	if due.IsZero() || !s.next.IsZero() && !due.Before(s.next) {
		return
	}
	s.next = due
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Until(due), s.look)
		return
	}
	s.timer.Reset(time.Until(due))
}

// look ends the request if a bound has passed.
func (s *sending) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = time.Time{}
	due, why := s.dueLocked()
	if due.IsZero() || time.Now().Before(due) {
		s.armLocked()
		return
	}
	s.failLocked(why)
}

// dueLocked returns when the next bound passes, and what that means. Zero: none does.
func (s *sending) dueLocked() (time.Time, error) {
	head, body := s.cfg.HeaderTimeout, s.cfg.BodyTimeout
	switch {
	case s.ended, s.heard && s.awaiting.IsZero():
		return time.Time{}, nil
	case s.heard:
		from := s.awaiting
		if !s.sent && s.since.After(from) {
			from = s.since // the request's body still moves
		}
		return from.Add(body), &lateError{fmt.Sprintf("no byte of the response's body within %v", body)}
	case s.sent && head <= 0, !s.sent && body <= 0:
		return time.Time{}, nil
	case s.sent && s.conns > 1:
		return s.since.Add(head), &refusedError{s.conns - 1}
	case s.sent:
		return s.since.Add(head), &lateError{fmt.Sprintf("no response header within %v", head)}
	case s.reading:
		return s.since.Add(body), &requestError{&lateError{fmt.Sprintf("no byte of the request's body came within %v", body)}}
	}
	return s.since.Add(body), &lateError{fmt.Sprintf("no byte of the request's body was taken within %v", body)}
}

// failLocked ends the request. Over HTTP/1.1, net/http waits for a body that is being read: who has
// a gentler way than Close to end that has a method Unblock.
func (s *sending) failLocked(why error) {
	if s.ctx.Err() == nil && s.why == nil {
		s.why = why
	}
	s.cancel(why)
	if !s.reading {
		return
	}
	if b, ok := s.body.(interface{ Unblock() }); ok {
		go b.Unblock()
	} else {
		go s.body.Close()
	}
}

// failed reports whether a bound has ended the request.
func (s *sending) failed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why != nil
}

// explain makes an *Error of what ended the request without an answer.
func (s *sending) explain(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.blameLocked(err)
	switch {
	case s.conns == 0 || isRefused(e.Err):
		e.Stage = NothingSent
	case e.Client || isTimeoutOrEnd(e.Err):
		e.Stage = NoAnswer
	default:
		e.Stage = BrokenOff
	}
	return e
}

// breakOff makes an *Error of what ended the answer's body early.
func (s *sending) breakOff(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.blameLocked(err)
	e.Stage = BrokenOff
	return e
}

// blameLocked says whose fault err is.
func (s *sending) blameLocked(err error) *Error {
	var own *requestError
	switch {
	case errors.As(s.why, &own):
		return &Error{Client: true, Err: own.err}
	case s.why != nil:
		return &Error{Err: s.why}
	case s.broken, s.ctx.Err() != nil:
		return &Error{Client: true, Err: err}
	}
	return &Error{Err: understood(err)}
}

// watchedBody tells of what becomes of a request's body.
type watchedBody struct {
	io.ReadCloser
	s *sending
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.s.read(true, nil)
	n, err := b.ReadCloser.Read(p)
	b.s.read(false, err)
	return n, err
}

// stdBody tells of a response's body that broke off.
type stdBody struct {
	io.ReadCloser
	s *sending
}

func (b *stdBody) Read(p []byte) (int, error) {
	b.s.await(true)
	n, err := b.ReadCloser.Read(p)
	b.s.await(false)
	if err == nil {
		return n, nil
	}
	if err != io.EOF || b.s.failed() { // a backend may end well what we have cut
		err = b.s.breakOff(err)
	}
	b.s.end()
	return n, err
}

func (b *stdBody) Close() error {
	err := b.ReadCloser.Close()
	b.s.end()
	return err
}
