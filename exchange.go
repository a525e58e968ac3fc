package lb

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"

	"github.com/go-loadbalancer/lb/transport"
)

// exchange is a backend's answer on its way to a client: the engine's own, or an http.Response
// of any other transport.
type exchange interface {
	Status() int
	Length() int64          // of the body; -1 if unknown
	AddHeader(http.Header)  // adds the end-to-end fields
	TrailerNames() []string // that are known before the body
	Upgrade() string        // the protocol of a 101
	Trailer() http.Header   // after the body's end
	Close()                 // may be called twice
	Tunnel() (io.ReadWriteCloser, []byte)
	CopyTo(w io.Writer, flush func() error, direct bool) (int64, error)
}

// native is an exchange of the engine.
type native struct{ transport.Exchange }

// TrailerNames returns nil: all trailers are sent without having been announced.
func (*native) TrailerNames() []string { return nil }

// Tunnel takes the connection out after a 101.
func (n *native) Tunnel() (io.ReadWriteCloser, []byte) { return n.Exchange.Tunnel() }

// response is an exchange of any other transport.
type response struct{ *http.Response }

func (r response) Status() int   { return r.StatusCode }
func (r response) Length() int64 { return r.ContentLength }
func (r response) Close()        { r.Body.Close() }

func (r response) AddHeader(dst http.Header) {
	removeHopByHop(r.Header)
	for name, values := range r.Header {
		if isLoadHeader(name) {
			name = loadHeader
		}
		if have := dst[name]; len(have) > 0 {
			values = append(slices.Clip(have), values...)
		}
		dst[name] = values
	}
}

func (r response) TrailerNames() []string {
	return slices.DeleteFunc(slices.Collect(maps.Keys(r.Response.Trailer)), isLoadHeader)
}

func (r response) Trailer() http.Header { return r.Response.Trailer }

func (r response) Upgrade() string { return r.Header.Get("Upgrade") }

func (r response) Tunnel() (io.ReadWriteCloser, []byte) {
	conn, _ := r.Body.(io.ReadWriteCloser)
	return conn, nil
}

// CopyTo passes each part of the body on as it comes. It never arms a timer to flush, which could
// race the trailers.
func (r response) CopyTo(w io.Writer, flush func() error, _ bool) (n int64, err error) {
	buf, _ := copying.Get().(*[]byte)
	if buf == nil {
		made := make([]byte, 32<<10)
		buf = &made
	}
	defer copying.Put(buf)
	if flush != nil {
		err = flush() // the head does not wait for the body
	}
	for err == nil {
		var read, wrote int
		read, err = r.Body.Read(*buf)
		if read > 0 {
			var failed error
			if wrote, failed = w.Write((*buf)[:read]); failed != nil {
				return n + int64(wrote), failed
			}
			n += int64(wrote)
			if flush != nil && err == nil {
				err = flush()
			}
		}
	}
	if err == io.EOF {
		return n, nil
	}
	return n, &transport.Error{Stage: transport.BrokenOff, Err: err}
}

// exchange sends the request of e to the backend, for ServeHTTP. Without an answer, or if the
// transport panics, the place is given back before it returns.
func (a *attempt) exchange(e *edit) (err error) {
	var got exchange
	defer func() {
		if a.x == nil {
			if got != nil {
				got.Close()
			}
			a.fail(err)
		}
	}()
	if got, err = a.ask(e); err == nil && got.Status() == http.StatusSwitchingProtocols {
		err = agreed(e.upgrade, got.Upgrade())
	}
	if err == nil {
		err = a.begun()
	}
	if err != nil {
		return a.blame(err)
	}
	a.answered(got.Status(), a.classify(got))
	if a.trip.unwanted(got.Status()) {
		a.heed(fields(got)["Retry-After"])
	}
	a.x = got
	return nil
}

// ask speaks to the backend through the engine, or through whatever transport there is.
func (a *attempt) ask(e *edit) (exchange, error) {
	t := a.trip
	if t.b.engine != nil && transport.Direct(a.backend.url.Scheme) {
		out, x := e.request(a), t.native
		if a.side != nil {
			x = &a.side.native
		}
		if err := t.b.engine.Do(out.ctx, &out.Request, &x.Exchange); err != nil {
			return nil, err
		}
		return x, nil
	}
	if a.side == nil { // else that was noted before
		t.foreign = true
	}
	out := e.httpRequest(a)
	if a.side == nil {
		var told *informed
		out, told = t.traced(out)
		defer told.over()
	}
	resp, err := t.b.cfg.Transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if s := resp.StatusCode; s < http.StatusSwitchingProtocols || s > 999 { // net/http's server would panic
		resp.Body.Close()
		return nil, fmt.Errorf("%w: %d", errStatus, s)
	}
	return response{resp}, nil
}

// classify judges an answer by its status, unless the program wants to see all of it.
func (a *attempt) classify(x exchange) Outcome {
	if a.trip.b.byStatus {
		return byStatus(x.Status())
	}
	if r, ok := x.(response); ok {
		return a.trip.b.cfg.Classify(r.Response, nil)
	}
	seen := &http.Response{StatusCode: x.Status(), Header: fields(x), Body: http.NoBody, ContentLength: x.Length()}
	return a.trip.b.cfg.Classify(seen, nil)
}

// fields are those of an answer before it is passed on. They are only to be read.
func fields(x exchange) http.Header {
	if r, ok := x.(response); ok {
		return r.Header
	}
	h := make(http.Header)
	x.AddHeader(h)
	return h
}

// agreed reports an error for a switch to a protocol that was not asked for.
func agreed(asked, got string) error {
	if asked != "" && strings.EqualFold(asked, got) {
		return nil
	}
	return errProtocol
}

// informational passes a 1xx on to the client, without what is meant for this hop only.
func (t *trip) informational(status int, fields http.Header) {
	if status == http.StatusContinue {
		return // the client gets its own when its body is asked for
	}
	h := t.w.Header()
	removeHopByHop(fields)
	delete(fields, loadHeader)
	for name, values := range fields {
		h[name] = append(h[name], values...)
	}
	t.w.WriteHeader(status)
	for name, values := range fields {
		if kept := h[name][:len(h[name])-len(values)]; len(kept) > 0 {
			h[name] = kept
		} else {
			delete(h, name)
		}
	}
}

// maxInformational bounds the 1xx of one answer, as the engine does.
const maxInformational = 5

// traced has informational told of what another transport gets, until over is called: such a
// transport tells from a goroutine of its own, which may go on after RoundTrip has returned.
func (t *trip) traced(r *http.Request) (*http.Request, *informed) {
	i := &informed{t: t}
	i.trace.Got1xxResponse = i.got
	return r.WithContext(httptrace.WithClientTrace(r.Context(), &i.trace)), i
}

// informed is what becomes of the informational answers of one try over another transport.
type informed struct {
	t     *trip
	trace httptrace.ClientTrace

	mu   sync.Mutex
	done bool
	n    int
}

func (i *informed) got(status int, fields textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n++; i.n > maxInformational {
		return errInformational
	}
	if status == http.StatusSwitchingProtocols { // over HTTP/2 it means nothing, and to the client a switch
		return errProtocol
	}
	if !i.done {
		i.t.informational(status, http.Header(fields))
	}
	return nil
}

// over is the end of the telling.
func (i *informed) over() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done = true
}

var errNoTunnel = errors.New("lb: the connection cannot be taken over")
