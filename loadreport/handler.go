package loadreport

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// Handler returns a handler that measures h, answers probes in its place, and has its answers say
// how loaded the backend is. A request is in flight until h returns, also by a panic, or by its
// client's leaving. A connection that h takes over with Hijack is in flight until h returns, and its
// time says nothing about latency. Probes are not counted.
//
// Several handlers of one Meter are measured together; one inside another counts twice.
func (m *Meter) Handler(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == m.cfg.Path && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			m.say(w.Header())
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		m.serve(h, w, r)
	})
}

func (m *Meter) serve(h http.Handler, w http.ResponseWriter, r *http.Request) {
	start, a := time.Now(), answer{ResponseWriter: w, meter: m}
	found, how := m.enter(), failed
	defer func() {
		if r.Context().Err() != nil {
			how = left
		}
		if a.hijacked {
			how = taken
		}
		m.leave(found, time.Since(start), how)
	}()
	h.ServeHTTP(&a, r)
	if !a.hijacked {
		a.begin(http.StatusOK)
	}
	if a.status < http.StatusInternalServerError {
		how = answered
	}
}

// answer is a response that says how loaded the backend is when it begins.
type answer struct {
	http.ResponseWriter
	meter    *Meter
	status   int // 0: it has not begun
	hijacked bool
}

// begin notes the status, and says the load, unless the answer has begun or this is no end of it.
func (a *answer) begin(status int) {
	if a.status != 0 || status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	a.status = status
	if !a.meter.cfg.ProbesOnly {
		a.meter.say(a.Header())
	}
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	return a.ResponseWriter.Write(b)
}

// ReadFrom lets net/http splice.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	a.begin(http.StatusOK)
	return io.Copy(a.ResponseWriter, r)
}

func (a *answer) Flush() { _ = a.FlushError() }

func (a *answer) FlushError() error {
	a.begin(http.StatusOK)
	return http.NewResponseController(a.ResponseWriter).Flush()
}

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(a.ResponseWriter).Hijack()
	a.hijacked = a.hijacked || err == nil
	return conn, rw, err
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
