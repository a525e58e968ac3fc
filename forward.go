package lb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-loadbalancer/lb/transport"
)

// small is the size up to which a request's body of known length is read before a connection is
// taken: a slow client then holds no backend, and the body can be sent again.
const small = 16 << 10

// forward answers the request with a backend's response, for ServeHTTP.
func (t *trip) forward() {
	if err := t.receive(); err != nil {
		t.answer(t.w, err)
		return
	}
	t.edit.prepare(t)
	err := t.attempts((*serving)(t))
	switch {
	case err != nil:
		t.answer(t.w, err)
	case t.by.x.Status() == http.StatusSwitchingProtocols:
		t.tunnel(t.by, t.by.x)
	default:
		t.relay(t.by, t.by.x)
	}
}

// serving is a trip for ServeHTTP.
type serving trip

// try sends the request to one backend.
func (s *serving) try(a *attempt) error { return a.exchange(&s.edit) }

// take keeps the answer for the client.
func (s *serving) take(a *attempt) { s.by = a }

func (s *serving) context() context.Context { return s.req.Context() }

// receive makes the request's body ready: a small one is read, a large one will be while the
// backend may be answering already.
func (t *trip) receive() error {
	r := t.req
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	t.carry(t.bounded(r.Body))
	t.upload.left = r.ContentLength
	t.upload.control, t.upload.idle = http.NewResponseController(t.w), t.b.cfg.UploadIdle
	t.keepBody()
	if n := r.ContentLength; n < 0 || n > small || r.Header.Get("Expect") != "" || len(r.Trailer) > 0 {
		if r.ProtoMajor == 1 {
			_ = t.upload.control.EnableFullDuplex() // else the server holds an early answer back
		}
		t.unblock = t.upload.stop
		if len(r.Trailer) > 0 {
			t.cleanTrailers()
			t.upload.end = t.cleanTrailers
		}
		return nil
	}
	t.small = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(t.upload, t.small); err != nil {
		if r.Context().Err() != nil && !isTimeout(err) { // a pause that is too long ends the context, too
			return fmt.Errorf("%w: %w", ErrClient, err)
		}
		return fmt.Errorf("%w: %w", ErrUpload, err)
	}
	t.upload = nil
	return nil
}

// bounded applies Config.MaxBody.
func (t *trip) bounded(body io.ReadCloser) io.ReadCloser {
	if most := t.b.cfg.MaxBody; most > 0 {
		return http.MaxBytesReader(t.w, body, most)
	}
	return body
}

// relay passes a response on. The attempt is judged by its end, or by what has come after a while.
func (t *trip) relay(a *attempt, x exchange) {
	done := false
	defer a.leave()
	defer func() {
		x.Close()
		if !done { // panicking
			a.judge(&flaw{outcome: Neutral, reason: "panic"})
		}
	}()
	h := t.w.Header()
	a.addHeader(h, x)
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // it is not for us to guess
	}
	t.settle(h, a.backend)
	announced := x.TrailerNames()
	if len(announced) > 0 {
		h["Trailer"] = []string{strings.Join(announced, ", ")}
	}
	t.closeUnlessWhole(h)
	t.explain(h, a)
	a.hold()
	defer a.release()
	t.w.WriteHeader(x.Status())
	err := t.copy(a, x)
	if err == nil {
		a.takeReport(x.Trailer())
		addTrailers(t.w, announced, x.Trailer())
	}
	done = true
	t.until = a.judge(t.ending(a, err))
	if err != nil {
		t.abort()
	}
}

// closeUnlessWhole has the client's connection closed after an answer that comes before the end of
// the request's body: what else arrives there is no request. So it does after we have interrupted the
// body: net/http would take each further request for one whose client has left.
func (t *trip) closeUnlessWhole(h http.Header) {
	if t.upload != nil && t.req.ProtoMajor == 1 && (!t.upload.whole.Load() || t.upload.wasInterrupted()) {
		h.Set("Connection", "close")
	}
}

// flush sends what was written. A writer that cannot is not in the way.
func (t *trip) flush() error {
	if err := http.NewResponseController(t.w).Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// ending says what is wrong with how a response ended, or nil, and notes it in the summary.
func (t *trip) ending(a *attempt, err error) *flaw {
	t.noted = true
	_, backends := errors.AsType[*transport.Error](err)
	switch {
	case err == nil:
		return nil
	case !backends, t.req.Context().Err() != nil:
		t.sum.Err, t.sum.Reason = ErrClient, "client"
		return &flaw{outcome: Neutral, reason: "client", err: ErrClient}
	}
	t.sum.Err, t.sum.Reason = err, "truncated"
	if isTimeout(err) {
		t.sum.Reason = "timeout"
	}
	if t.upload.brokenOff() != nil || a.ended() == errRemoved {
		return &flaw{outcome: Neutral, reason: t.sum.Reason, err: err}
	}
	if a.judged.Load() {
		a.backend.load.Judged(time.Now(), true)
	}
	return &flaw{outcome: Failure, reason: t.sum.Reason, err: err}
}

// abort ends the client's connection, so that what was cut off is not taken for whole. It does so
// the way net/http wants it, and only below net/http's server.
func (t *trip) abort() {
	if t.req.Context().Value(http.ServerContextKey) != nil {
		panic(http.ErrAbortHandler)
	}
}

// addTrailers sends what came after the body.
func addTrailers(w http.ResponseWriter, announced []string, trailer http.Header) {
	if len(trailer) == 0 {
		return
	}
	_ = http.NewResponseController(w).Flush() // else a short body would get a length, and no trailers
	h := w.Header()
	for name, values := range trailer {
		if !slices.Contains(announced, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = append(h[name], values...)
	}
}

// copying has buffers of 32 KiB for the bodies of other transports.
var copying sync.Pool

// upReader is a small body that has been read already.
type upReader struct{ io.Reader }

func (upReader) Close() error { return nil }

// answer has the client told of err, and notes what it was told.
func (t *trip) answer(w http.ResponseWriter, err error) {
	t.noted, t.sum.Backend = true, nil
	t.closeUnlessWhole(w.Header())
	t.explain(w.Header(), nil)
	if errors.Is(err, ErrRequest) && t.req.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	rec := &statusRecorder{ResponseWriter: w}
	_, reason := verdict(err)
	if name := t.b.cfg.ReasonHeader; name != "" {
		w.Header().Set(name, reason)
	}
	t.b.cfg.OnError(rec, t.req, err)
	t.sum.Reason = reason
	t.sum.Status, t.sum.Err = cmp.Or(rec.status, http.StatusOK), err
}

// statusRecorder remembers the status of an answer of our own.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	if status >= 200 && r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// answer is what a client gets in place of a backend's response, unless Config.OnError says
// otherwise: a status text, and when to come again.
func answer(w http.ResponseWriter, _ *http.Request, err error) {
	status, _ := verdict(err)
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	text := cmp.Or(http.StatusText(status), "Client Closed Request")
	http.Error(w, text, cmp.Or(status, http.StatusBadGateway))
}

// forwardable refuses what no proxy should pass on. A tunnel made by CONNECT would share its
// connection with other requests, PRI is the preface of HTTP/2, TRACE shows a client the headers
// that were added on the way, and * is no path.
func forwardable(r *http.Request) error {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace, "PRI":
		return fmt.Errorf("%w: %q", ErrMethod, r.Method)
	}
	if r.URL.Path == "*" && r.Method != http.MethodOptions {
		return fmt.Errorf("%w: %q for *", ErrMethod, r.Method)
	}
	if r.URL.Opaque != "" || strings.ContainsAny(r.Host, ",/\\ ") {
		return fmt.Errorf("%w: target %q, host %q", ErrRequest, r.RequestURI, r.Host)
	}
	return nil
}

// switched reports an error for a response that switches to a protocol that out did not ask for.
func switched(resp *http.Response, out *http.Request) error {
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil
	}
	err := agreed(out.Header.Get("Upgrade"), resp.Header.Get("Upgrade"))
	if err != nil {
		resp.Body.Close()
	}
	return err
}
