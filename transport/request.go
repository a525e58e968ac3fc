package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-loadbalancer/lb/internal/h1"
)

// Pair is a header field that is sent as it stands.
type Pair = h1.Pair

// smallBody is the longest body that is read before a connection is taken.
const smallBody = 16 << 10

// Request is what Do sends: a description of which nothing is cloned. It and what it refers to
// must not change until Do has returned, and with a Body until the Exchange is closed.
type Request struct {
	// Scheme is http or unix, Addr the backend's host and port, or the path of its socket.
	Scheme, Addr string
	// ServerName is for https, which Do does not speak.
	ServerName string
	// Method and Target, a path and query, are sent as they stand. Empty ones are GET and /.
	Method, Target string
	// Host is the Host field's value.
	Host string
	// Header is only read. Hop-by-hop fields, Host, Content-Length and Transfer-Encoding in it are
	// left out.
	Header http.Header
	// Omit names further keys of Header to leave out. Nil means none.
	Omit func(key string) bool
	// Extra are fields to send after Header's.
	Extra []Pair
	// Upgrade is the protocol to change to. Empty means none, and then a 101 is an error.
	Upgrade string
	// Trailers says that trailers are welcome.
	Trailers bool

	// Length is how long Body is, -1 means unknown.
	Length int64
	// Body is read on the caller's goroutine, or on one that has ended when Do, after an error, or
	// Close returns. Nil means none. One of up to 16 KiB of known length is read before a
	// connection is taken.
	Body io.Reader
	// BodyUnblock makes a blocked Body.Read return. It is called when an early answer came or the
	// exchange is given up, while Body is read. Nil means that this cannot be done: Do and Close
	// then wait for Body.
	BodyUnblock func()
	// Detached says that a Read may still be under way after Do, or Close: nobody then waits for it,
	// nor unblocks it. Body must be fit for that.
	Detached bool
	// Trailer is asked for the trailers after Body's end. Nil means none. They need a Length of -1.
	Trailer func() http.Header
	// TrailerNames are announced.
	TrailerNames []string
	// Expect waits for 100 Continue, or for Config.ContinueTimeout, before Body is read. The field
	// itself is Header's or Extra's.
	Expect bool

	// Now is the present time, for a caller who has just asked for it. Zero means that Do asks.
	Now time.Time

	// Informational is told of each 1xx but 101, on the caller's goroutine, before Do returns. Nil
	// means that they are dropped.
	Informational func(status int, h http.Header)
	// Idempotent says that the request may be sent twice: it may go over a connection that was
	// idle for longer than SafeIdle, and is sent once more over a new one when a used one dies
	// without an answer, unless it has a long body.
	Idempotent bool

	informational func(status int, h http.Header) error // Informational that may give up

	bodyDone func() // called when Body will not be read any more; nil: nothing to do
}

// check says what cannot be sent.
func (r *Request) check() error {
	switch {
	case !Direct(r.Scheme):
		return fmt.Errorf("transport: scheme %q is neither http nor unix", r.Scheme)
	case r.Method == http.MethodConnect:
		return errors.New("transport: CONNECT is not sent")
	}
	return nil
}

// hasBody reports whether there is a body to read.
func (r *Request) hasBody() bool { return r.Body != nil && r.Length != 0 }

// isSmall reports whether the body is read before a connection is taken.
func (r *Request) isSmall() bool {
	return r.hasBody() && !r.Expect && r.Length > 0 && r.Length <= smallBody
}

// render writes the request's head, and a small body, into c.out.
func (x *Exchange) render() error {
	r, c := x.r, x.c
	c.req = h1.Request{
		Method: r.Method, Target: r.Target, Host: r.Host, Header: r.Header, Omit: r.Omit, Extra: r.Extra,
		Upgrade: r.Upgrade, Trailers: r.Trailers,
	}
	if c.req.Method == "" {
		c.req.Method = http.MethodGet
	}
	if c.req.Target == "" {
		c.req.Target = "/"
	}
	if r.hasBody() {
		c.req.Length = r.Length
	}
	if c.req.Length < 0 {
		c.req.Length, c.req.TrailerNames = -1, r.TrailerNames
	}
	out, err := h1.AppendRequest(c.out[:0], &c.req)
	c.req = h1.Request{} // an idle connection holds no header
	if err != nil {
		return &requestError{err}
	}
	if x.small != nil {
		out = append(out, (*x.small)[:r.Length]...)
	}
	c.out = out
	return nil
}

// requestError is a fault of the request itself, or of its body.
type requestError struct{ err error }

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// readSmall reads a small body whole.
func (x *Exchange) readSmall() error {
	r := x.r
	x.small = x.t.buffers.get(int(r.Length) + 1)
	n, err := io.ReadFull(r.Body, (*x.small)[:r.Length])
	x.releaseBody()
	if n == int(r.Length) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return &requestError{fmt.Errorf("transport: body of %d bytes ended after %d: %w", r.Length, n, err)}
}

// releaseBody says, once, that the body will not be read any more.
func (x *Exchange) releaseBody() {
	if x.r.bodyDone != nil && !x.released {
		x.r.bodyDone()
	}
	x.released = true
}
