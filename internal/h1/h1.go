// Package h1 knows HTTP/1.1 as it stands on the wire between us and a backend: it writes heads of
// requests, reads heads of responses, and takes chunked bodies apart. It has no sockets and no
// goroutines: bytes go in, facts come out.
//
// Backends are not trusted. What two readers might understand differently is refused, never
// repaired: RFC 9112 where that is strict, and stricter where it lets a recipient choose. Whatever
// the bytes, nothing here panics, and memory and time are bounded by [Limits].
//
// Values of this package's types belong to one goroutine at a time.
package h1

import "errors"

// ErrTooLarge says that a head or a trailer section exceeds its limits.
var ErrTooLarge = errors.New("h1: the head exceeds its limits")

// Error says what is wrong with bytes that came from a backend, or with a head that was to be
// written. What quotes at most a bounded piece of them, escaped.
type Error struct{ What string }

// Error returns What with the package's name.
func (e *Error) Error() string { return "h1: " + e.What }

func malformed(what string) error { return &Error{What: what} }

// Limits bound one head. A zero field stands for 64 KiB or 256 fields.
type Limits struct{ Bytes, Fields int }

const (
	defaultBytes  = 64 << 10
	defaultFields = 256
)

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.Fields <= 0 {
		l.Fields = defaultFields
	}
	return l
}

// Field is one header field of a response. Key has net/textproto's canonical form; it and Value
// are strings that may be kept.
type Field struct {
	Key, Value string
	Hop        bool // meant for this connection only: RFC 9110 section 7.6.1, or named in Connection
}

// Pair is a field to be sent.
type Pair struct{ Key, Value string }
