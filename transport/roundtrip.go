package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
)

// RoundTrip sends one request. It is http.RoundTripper's. Its errors, and those of the response's
// body, are *Error. Of net/http/httptrace it calls Got1xxResponse for http and unix. After a 101
// the body is an io.ReadWriteCloser that has CloseWrite.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case req.URL == nil:
		return nil, refuse(req, errors.New("transport: the request has no URL"))
	case Direct(req.URL.Scheme):
		return t.direct(req)
	case req.URL.Scheme != "https" && req.URL.Scheme != "h2c":
		return nil, refuse(req, fmt.Errorf("transport: scheme %q is none of http, https, h2c and unix", req.URL.Scheme))
	case t.closed.Load():
		return nil, refuse(req, ErrClosed)
	}
	return t.standard(req)
}

func refuse(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return &Error{Err: err}
}

// answer is all that a round trip allocates of its own.
type answer struct {
	http.Response
	body body
}

// direct is RoundTrip on Do.
func (t *Transport) direct(req *http.Request) (*http.Response, error) {
	a := &answer{}
	a.body.describe(req)
	if err := t.Do(req.Context(), &a.body.req, &a.body.x); err != nil {
		return nil, err
	}
	a.fill(req)
	return &a.Response, nil
}

// describe makes a Request of req, which is only read.
func (b *body) describe(req *http.Request) {
	u := req.URL
	r := &b.req
	*r = Request{
		Scheme: u.Scheme, Addr: u.Host, Method: req.Method, Target: u.RequestURI(), Host: req.Host, Header: req.Header,
		Upgrade: upgradeOf(req.Header), Trailers: listed(req.Header["Te"], "trailers"),
		Length: req.ContentLength, Expect: listed(req.Header["Expect"], "100-continue"),
		Idempotent: repeatable(req), Detached: true,
	}
	if u.Opaque != "" && strings.HasPrefix(u.Opaque, "//") {
		r.Target = (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).RequestURI()
	}
	if r.Host == "" {
		r.Host = hostOf(u)
	}
	b.describeBody(req)
	trace := httptrace.ContextClientTrace(req.Context())
	if trace != nil && trace.Got1xxResponse != nil {
		r.informational = func(status int, h http.Header) error {
			return trace.Got1xxResponse(status, textproto.MIMEHeader(h))
		}
	}
}

// describeBody is describe for the body.
func (b *body) describeBody(req *http.Request) {
	r, from := &b.req, req.Body
	if from == nil {
		r.Length = 0
		return
	}
	r.bodyDone = func() { from.Close() }
	if from == http.NoBody {
		r.Length = 0
		return
	}
	if r.Length == 0 {
		r.Length = -1 // net/http's rule: a body that is there is of unknown length
	}
	r.Body = from
	// Close may wait for a Read, so nobody waits for it; it ends when the request's owner ends the body.
	r.BodyUnblock = func() { go from.Close() }
	if len(req.Trailer) == 0 {
		return
	}
	r.Length = -1
	r.Trailer = func() http.Header { return req.Trailer }
	for name := range req.Trailer {
		r.TrailerNames = append(r.TrailerNames, name)
	}
}

// hostOf is the Host of a request that has none of its own.
func hostOf(u *url.URL) string {
	if u.Scheme == "unix" {
		return "localhost"
	}
	host := u.Host
	from, to := strings.IndexByte(host, '%'), strings.IndexByte(host, ']')
	if from >= 0 && from < to { // a zone is ours alone (RFC 6874, section 4)
		host = host[:from] + host[to:]
	}
	return host
}

// upgradeOf is the protocol that the headers ask for.
func upgradeOf(h http.Header) string {
	if listed(h["Connection"], "upgrade") {
		return h.Get("Upgrade")
	}
	return ""
}

// listed reports whether lists of tokens have one.
func listed(lists []string, token string) bool {
	for _, list := range lists {
		for t := range strings.SplitSeq(list, ",") {
			t, _, _ = strings.Cut(t, ";")
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// repeatable follows net/http: these may be sent again on a new connection when a used one died.
func repeatable(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return len(req.Header["Idempotency-Key"]) > 0 || len(req.Header["X-Idempotency-Key"]) > 0
}

// fill makes the Response.
func (a *answer) fill(req *http.Request) {
	x, head := &a.body.x, &a.body.x.c.head
	a.Response = http.Response{
		Status: statusLine(x.status), StatusCode: x.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: head.Minor,
		Header: make(http.Header, len(head.Fields)), ContentLength: x.length, Close: head.Close, Request: req,
	}
	if head.Minor == 0 {
		a.Proto = "HTTP/1.0"
	}
	x.AddHeader(a.Header)
	if req.Method == http.MethodHead {
		a.ContentLength = x.declared
	}
	a.body.nc = x.c.Conn
	a.body.close = req.Close
	a.body.announce(&a.Response)
	switch {
	case x.kind == bodyTunnel:
		a.Header["Connection"], a.Header["Upgrade"] = []string{"Upgrade"}, []string{x.upgrade}
		a.Response.Body = newTunnel(x)
	case x.over:
		a.body.release()
		a.Response.Body = http.NoBody
	default:
		a.Response.Body = &a.body
	}
	if x.kind == bodyChunked {
		a.TransferEncoding = []string{"chunked"}
	}
}

func statusLine(status int) string {
	text := http.StatusText(status)
	return fmt.Sprintf("%03d %s", status, text)
}

// body is a response's body.
type body struct {
	req   Request
	x     Exchange
	nc    net.Conn
	resp  *http.Response
	close bool // the connection shall not be used again

	mu     sync.Mutex
	closed atomic.Bool
}

// announce notes the response, for its trailers.
func (b *body) announce(resp *http.Response) {
	b.resp = resp
	for _, f := range b.x.c.head.Fields {
		if f.Key != "Trailer" || b.x.kind != bodyChunked {
			continue
		}
		for name := range strings.SplitSeq(f.Value, ",") {
			if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name == "" {
				continue
			}
			if resp.Trailer == nil {
				resp.Trailer = make(http.Header)
			}
			resp.Trailer[name] = nil
		}
	}
}

// Read is io.Reader's.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.x.Read(p)
	b.finish(err)
	return n, err
}

// WriteTo is io.WriterTo's: long bodies are moved by the kernel where it can.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.x.CopyTo(w, nil, false)
	if err == nil {
		b.finish(io.EOF)
	}
	return n, err
}

// finish gives the connection back at the body's end.
func (b *body) finish(err error) {
	if err != io.EOF {
		return
	}
	for key, values := range b.x.trailer {
		if b.resp.Trailer == nil {
			b.resp.Trailer = make(http.Header)
		}
		b.resp.Trailer[key] = values
	}
	b.release()
}

// release ends the exchange.
func (b *body) release() {
	b.x.spent = b.x.spent || b.close
	b.x.Close()
}

// Close ends a Read that waits, and closes the connection unless everything was read.
func (b *body) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.x.cut.Store(true)
	if !b.mu.TryLock() {
		b.nc.SetReadDeadline(past) // harmless to whom the connection may serve next
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.release()
	return nil
}
