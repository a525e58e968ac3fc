package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// refusedError is a request that its backend would not take, on one connection after the other.
type refusedError struct{ times int }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the backend refused the request %d times", e.times)
}

// Unwrap says that it is like a reset.
func (e *refusedError) Unwrap() error { return syscall.ECONNRESET }

// resetError is a stream or a connection of HTTP/2 that the backend gave up.
type resetError struct{ err error }

func (e *resetError) Error() string   { return e.err.Error() }
func (e *resetError) Unwrap() []error { return []error{e.err, syscall.ECONNRESET} }

// streamError is net/http's error of the same shape, which it turns into any other of that shape.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

// Error is never called: it has errors.As take the type.
func (e streamError) Error() string { return "stream error" }

// notAgain begins net/http's error for a request that it would send again if it had its body twice.
const notAgain = "http2: Transport: cannot retry err ["

// refusedStream is REFUSED_STREAM of RFC 9113, section 7: the backend has not acted on the request.
const refusedStream = 7

// fromPeer reports whether err is a RST_STREAM of the backend, and not one of net/http's own.
func fromPeer(err error) (code uint32, ok bool) {
	var e streamError
	if !errors.As(err, &e) || e.Cause == nil || e.Cause.Error() != "received from peer" {
		return 0, false
	}
	return e.Code, true
}

// understood tells from err, which net/http gave, what the backend gave up.
func understood(err error) error {
	if _, ok := fromPeer(err); ok || strings.Contains(err.Error(), "GOAWAY") ||
		strings.HasPrefix(err.Error(), "http2: client conn") || strings.HasPrefix(err.Error(), notAgain) {
		return &resetError{err}
	}
	return err
}

// isRefused reports whether the backend has said that it did not act on the request. For one with
// a body, net/http gives the reason as a text only.
func isRefused(err error) bool {
	var given *resetError
	if !errors.As(err, &given) {
		return false
	}
	code, ok := fromPeer(given.err)
	text := given.err.Error()
	return ok && code == refusedStream || strings.HasPrefix(text, notAgain) &&
		(strings.Contains(text, "graceful shutdown GOAWAY") || strings.Contains(text, "REFUSED_STREAM"))
}

// isTimeoutOrEnd reports whether err says that nothing came in time, or that the connection or the
// stream ended. Other errors are about what came.
func isTimeoutOrEnd(err error) bool {
	var op *net.OpError
	return late(err) || dead(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &op)
}
