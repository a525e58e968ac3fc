package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/go-loadbalancer/lb/transport"
)

var (
	// ErrNoBackend means that the pool has nobody to ask: it is empty, or all of it is draining,
	// stopped by breakers, or out without fail-open.
	ErrNoBackend = errors.New("lb: no backend available")
	// ErrRefused means that nobody took this request: all full or tried, or refused by the picker.
	ErrRefused = errors.New("lb: every backend refused the request")
	// ErrQueueFull means that all were full, and as many waited as may: see Config.Queue. It is an
	// ErrRefused, too.
	ErrQueueFull = fmt.Errorf("%w: all are full, and so is the queue", ErrRefused)
	// ErrQueueTimeout means that the request waited in the queue for as long as it may. It is an
	// ErrRefused, too.
	ErrQueueTimeout = fmt.Errorf("%w: all are full, and it waited in the queue for too long", ErrRefused)
	// ErrMethod means that the request's method is none that a balancer forwards: CONNECT, PRI
	// and TRACE, and a target of * with any method but OPTIONS.
	ErrMethod = errors.New("lb: the method is not forwarded")
	// ErrRequest means that the request's target or host is none that a backend would understand
	// as we do.
	ErrRequest = errors.New("lb: the request is malformed")
	// ErrHost means that RoundTrip was asked for a host outside Config.Hosts.
	ErrHost = errors.New("lb: not one of Config.Hosts")
	// ErrClient means that the client left before it had its answer.
	ErrClient = errors.New("lb: the client left")
	// ErrUpload means that the client broke its request's body off, or sent it malformed.
	ErrUpload = errors.New("lb: the request's body broke off")

	errProtocol      = errors.New("lb: the backend switched protocols unasked")
	errStatus        = errors.New("lb: the backend's status is none")
	errInformational = fmt.Errorf("lb: more than %d informational responses", maxInformational)
)

// AttemptError says which backend failed a request, on which attempt, and how. Find it with
// errors.AsType.
type AttemptError struct {
	Backend string // its ID
	Attempt int    // 0 for the first try
	Reason  string // dial, tls, timeout, reset, truncated, protocol or backend
	Err     error
}

// Error names the backend and what happened. It is for operators: it shows addresses.
func (e *AttemptError) Error() string {
	return fmt.Sprintf("lb: backend %q, attempt %d: %v", e.Backend, e.Attempt, e.Err)
}

// Unwrap returns what the transport said.
func (e *AttemptError) Unwrap() error { return e.Err }

// StatusClientClosed is the status in the Summary of a request whose client left before the
// answer: nginx's number, which no client ever sees.
const StatusClientClosed = 499

// verdict turns the error that ended a request into the status that its client gets and the
// reason that observers get.
func verdict(err error) (status int, reason string) {
	switch {
	case err == nil:
		return 0, "panic" // nothing was sent
	case err == errHedged:
		return 0, "hedged"
	case errors.Is(err, ErrMethod):
		return http.StatusNotImplemented, "method"
	case errors.Is(err, ErrRequest):
		return http.StatusBadRequest, "request"
	case errors.Is(err, ErrHost):
		return http.StatusMisdirectedRequest, "host"
	case errors.Is(err, ErrClient):
		return StatusClientClosed, "client"
	case errors.Is(err, ErrUpload):
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return http.StatusRequestEntityTooLarge, "upload"
		}
		if isTimeout(err) {
			return http.StatusRequestTimeout, "upload"
		}
		return http.StatusBadRequest, "upload"
	}
	if failed, ok := errors.AsType[*AttemptError](err); ok {
		switch {
		case isTimeout(failed.Err):
			return http.StatusGatewayTimeout, failed.Reason
		case isLocal(failed.Err):
			return http.StatusServiceUnavailable, failed.Reason
		}
		return http.StatusBadGateway, failed.Reason
	}
	switch {
	case errors.Is(err, ErrNoBackend):
		return http.StatusServiceUnavailable, "no_backend"
	case errors.Is(err, ErrQueueFull):
		return http.StatusServiceUnavailable, "queue_full"
	case errors.Is(err, ErrQueueTimeout):
		return http.StatusServiceUnavailable, "queue_timeout"
	case errors.Is(err, ErrRefused):
		return http.StatusServiceUnavailable, "refused"
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout, "timeout"
	}
	return http.StatusBadGateway, "backend"
}

// reasonOf says in one word what a transport's error was.
func reasonOf(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return "dial"
	}
	switch {
	case isTLS(err):
		return "tls"
	case isTimeout(err):
		return "timeout"
	case errors.Is(err, errProtocol), errors.Is(err, errInformational), errors.Is(err, errStatus):
		return "protocol"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return "reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "truncated"
	}
	if e, ok := errors.AsType[*transport.Error](err); ok && e.Stage == transport.BrokenOff {
		return "protocol"
	}
	return "backend"
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && t.Timeout()
}

// isLocal reports whether this process or machine could not send a request anywhere: it has no file
// descriptor or no memory left. That it has no port left for one backend is not among these: to the
// others it has, and they should get the requests.
func isLocal(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

func isTLS(err error) bool {
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	return record || cert || alert || host
}

// Must returns v, or panics if err is not nil. It is for main functions and tests.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
