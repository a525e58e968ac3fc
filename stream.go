package lb

import (
	"errors"
	"net/http"
	"strings"
)

// errRemoved is what ends a stream whose backend was removed, or whose balancer was shut down, before
// it had ended.
var errRemoved = errors.New("lb: the backend was removed")

// endless reports whether a request asks for an answer that may go on for ever: an event stream, or a
// call of gRPC.
func endless(r *http.Request) bool {
	for _, line := range r.Header["Accept"] {
		if strings.Contains(line, "text/event-stream") {
			return true
		}
	}
	lines := r.Header["Content-Type"]
	return len(lines) == 1 && strings.HasPrefix(lines[0], "application/grpc")
}

// stream is an answer that its backend's removal ends, and the balancer's shutdown.
type stream struct{ *attempt }

// Close ends the answer where it is.
func (s stream) Close() error {
	s.cancel(errRemoved)
	return nil
}

// hold has the removal of a backend, and the balancer's shutdown, end a stream when its time is over.
func (a *attempt) hold() {
	if a.endless {
		a.backend.load.Hold(stream{a})
		a.trip.b.tunnels.add(stream{a})
	}
}

func (a *attempt) release() {
	if a.endless {
		a.backend.load.Release(stream{a})
		a.trip.b.tunnels.remove(stream{a})
	}
}
