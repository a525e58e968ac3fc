package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
)

// Pair is a field of a request's head.
type Pair struct{ Key, Value string }

// Request is what the direct face sends.
type Request struct {
	Scheme, Addr, ServerName string
	Method, Target, Host     string
	Header                   http.Header
	Omit                     func(key string) bool
	Extra                    []Pair
	Upgrade                  string
	Trailers                 bool
	Length                   int64
	Body                     io.Reader
	BodyUnblock              func()
	Trailer                  func() http.Header
	TrailerNames             []string
	Expect                   bool
	Informational            func(status int, h http.Header)
	Idempotent               bool
}

// Exchange is one request's answer.
type Exchange struct{ status int }

// Stage says what became of a request's bytes.
type Stage uint8

const (
	NothingSent Stage = iota // no byte was sent
	NoAnswer                 // sent, and no answer came
	BrokenOff                // the answer broke off
)

// Error says what became of the bytes.
type Error struct {
	Stage  Stage
	Client bool
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Direct reports whether Do speaks a scheme.
func Direct(scheme string) bool { return false }

// Do sends r and waits for the head of its answer.
func (t *Transport) Do(ctx context.Context, r *Request, x *Exchange) error {
	return errors.New("not yet")
}

func (x *Exchange) Status() int                { return x.status }
func (x *Exchange) Length() int64              { return -1 }
func (x *Exchange) Declared() int64            { return -1 }
func (x *Exchange) AddHeader(dst http.Header)  {}
func (x *Exchange) Upgrade() string            { return "" }
func (x *Exchange) Read(p []byte) (int, error) { return 0, io.EOF }
func (x *Exchange) CopyTo(w io.Writer, flush func() error, direct bool) (int64, error) {
	return 0, nil
}
func (x *Exchange) Trailer() http.Header       { return nil }
func (x *Exchange) Tunnel() (net.Conn, []byte) { return nil, nil }
func (x *Exchange) Close()                     {}
