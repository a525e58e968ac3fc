package transport

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-loadbalancer/lb/internal/h1"
)

// bodyKind is how the end of a response's body is found.
type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose
	bodyTunnel // there is none: the connection speaks another protocol
)

// maxTrailer bounds what is buffered to find the end of a chunked body's lines.
const maxTrailer = 128 << 10

var errClosedBody = errors.New("transport: read after Close")

// Read reads the body. io.EOF is its whole end only: a body that broke off is an *Error.
func (x *Exchange) Read(p []byte) (int, error) {
	if len(p) == 0 && x.c != nil {
		return 0, nil
	}
	if len(x.piece) == 0 {
		if n, ok, err := x.readStraight(p); ok {
			return n, err
		}
		x.enlarge(int64(len(p) / copySize))
		piece, err := x.next(nil)
		if err != nil {
			return 0, err
		}
		x.piece = piece
	}
	n := copy(p, x.piece)
	x.piece = x.piece[n:]
	return n, nil
}

// readStraight reads a body of known length without a copy, when nothing of it is buffered and p
// is no smaller than the buffer.
func (x *Exchange) readStraight(p []byte) (n int, ok bool, err error) {
	if x.kind != bodyLength || x.over || x.fault != nil || x.c == nil || x.c.r < x.c.w || len(p) < headSize {
		return 0, false, nil
	}
	p = p[:min(int64(len(p)), x.left)]
	for { // until something comes or a bound passes
		if err := x.armBody(); err != nil {
			return 0, true, x.breakOff(err)
		}
		n, err := x.c.Conn.Read(p)
		if n > 0 {
			x.took(n)
			return n, true, nil
		}
		if err = x.bodyFault(err); err != nil {
			return 0, true, x.breakOff(err)
		}
	}
}

// next returns the next piece of the body, which is valid until the next call, or io.EOF. It calls
// idle, if it is not nil, before a read that has to wait.
func (x *Exchange) next(idle func() error) ([]byte, error) {
	for {
		switch {
		case x.fault != nil:
			return nil, x.fault
		case x.c == nil:
			return nil, errClosedBody
		case x.over || x.kind == bodyTunnel:
			return nil, io.EOF
		}
		piece, progress, err := x.decode()
		if err != nil {
			return nil, x.breakOff(err)
		}
		if len(piece) > 0 {
			return piece, nil
		}
		if progress || x.over {
			continue
		}
		if err := x.fillBody(idle); err != nil {
			if err == io.EOF && x.kind == bodyUntilClose {
				x.over = true
				continue
			}
			return nil, x.breakOff(err)
		}
	}
}

// decode takes a piece of the body out of what is buffered.
func (x *Exchange) decode() (piece []byte, progress bool, err error) {
	c := x.c
	switch buf := c.unread(); x.kind {
	case bodyChunked:
		data, n, done, err := c.chunked.Decode(buf)
		c.r += n
		if done {
			x.over = true
			x.trailer = trailerOf(c.chunked.Trailer())
		}
		return data, n > 0, err
	case bodyLength:
		piece = buf[:min(int64(len(buf)), x.left)]
		c.r += len(piece)
		x.took(len(piece))
		return piece, false, nil
	default:
		c.r += len(buf)
		return buf, false, nil
	}
}

// took counts n bytes of a body of known length.
func (x *Exchange) took(n int) {
	x.left -= int64(n)
	x.over = x.left == 0
}

func trailerOf(fields []h1.Field) http.Header {
	if len(fields) == 0 {
		return nil
	}
	h := make(http.Header, len(fields))
	for _, f := range fields {
		h[f.Key] = append(h[f.Key], f.Value)
	}
	return h
}

// fillBody reads more of the body into the buffer.
func (x *Exchange) fillBody(idle func() error) error {
	c := x.c
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	if c.w == len(*c.lent) {
		if c.r == 0 && c.w >= maxTrailer {
			return h1.ErrTooLarge
		}
		c.room(c.w - c.r + headSize)
	}
	if idle != nil {
		if err := x.armBody(); err != nil {
			return err
		}
		err := c.fill(true)
		if err != errWouldBlock && !late(err) {
			return err
		}
		if err := idle(); err != nil {
			return &writerError{err}
		}
	}
	for { // until something comes or a bound passes
		if err := x.armBody(); err != nil {
			return err
		}
		err := c.fill(false)
		if err == nil {
			return nil
		}
		if err = x.bodyFault(err); err != nil {
			return err
		}
	}
}

// armBody sets the deadline of the next read of the body. What ends an exchange also sets it, after
// the fact, so armBody looks for that after it has set its own.
func (x *Exchange) armBody() error {
	x.watch()
	if d := x.t.cfg.BodyTimeout; d > 0 {
		x.c.progressBy(time.Now(), d)
	} else {
		x.c.stopBy(time.Time{})
	}
	x.bodyBy = x.c.readBy
	if x.cut.Load() {
		return errClosedBody
	}
	return endOf(x.ctx)
}

// bodyFault says why a read of the body failed with err. Nil means that it may be tried again.
func (x *Exchange) bodyFault(err error) error {
	if !late(err) {
		return err
	}
	x.c.readBy = time.Time{}
	if x.cut.Load() {
		return errClosedBody
	}
	if err := endOf(x.ctx); err != nil {
		return err
	}
	now := time.Now()
	if x.bodyBy.IsZero() || now.Before(x.bodyBy) {
		return nil // somebody had us look
	}
	if s := x.sender; s != nil && !s.ended.Load() && s.stalled(now, x.t.cfg.BodyTimeout) == nil {
		return nil // the request's body still moves
	}
	return &lateError{fmt.Sprintf("no byte of the response's body within %v", x.t.cfg.BodyTimeout)}
}

// writerError is an error of CopyTo's writer.
type writerError struct{ err error }

func (e *writerError) Error() string { return e.err.Error() }

// breakOff notes what ended the body early.
func (x *Exchange) breakOff(err error) error {
	var w *writerError
	switch {
	case errors.As(err, &w):
		x.fault = w.err
		return x.fault
	case err == errClosedBody:
		x.fault = err
		return x.fault
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	e := &Error{Stage: BrokenOff, Err: err}
	s := x.sender
	switch {
	case x.ctx.Err() != nil:
		e.Client, e.Err = true, endOf(x.ctx)
	case s != nil && s.fault() != nil:
		e.Client, e.Err = true, s.fault()
	}
	x.fault = e
	return e
}
