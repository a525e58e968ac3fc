package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-loadbalancer/lb/internal/h1"
)

// grace is how long the end of a request's last write is waited for after the whole answer came.
const grace = 50 * time.Millisecond

var errHalted = errors.New("the rest of the body is not wanted")

// sender sends a long body on a goroutine of its own.
type sender struct {
	ctx      context.Context
	conn     net.Conn
	buffers  *buffers
	body     io.Reader
	left     int64 // -1: chunked
	length   int64
	trailer  func() http.Header
	timeout  time.Duration // of progress; at most zero: none
	nudge    bool          // who waits for a head wants to know when all was sent
	unblock  func()
	detached bool
	bodyDone func()

	renewed bool
	writeBy time.Time // the write deadline; others may have moved it to the past

	halted  atomic.Bool  // it shall stop before the last write
	cut     atomic.Bool  // it shall stop at once
	reading atomic.Bool  // it waits for the body
	last    atomic.Bool  // the last write has begun
	moved   atomic.Int64 // when it last did something, in Unix nanoseconds
	ended   atomic.Bool
	done    chan struct{}

	// Set before ended.
	err    error
	client bool // err is the body's
	end    time.Time
}

// sendBody starts the sender.
func (x *Exchange) sendBody() {
	r := x.r
	x.continueBy = time.Time{}
	s := &sender{
		ctx: x.ctx, conn: x.c.Conn, buffers: &x.t.buffers, body: r.Body, left: max(-1, r.Length), length: r.Length,
		trailer: r.Trailer, timeout: x.t.cfg.BodyTimeout, nudge: x.t.cfg.HeaderTimeout > 0,
		unblock: r.BodyUnblock, detached: r.Detached, bodyDone: r.bodyDone, done: make(chan struct{}),
	}
	s.moved.Store(time.Now().UnixNano())
	x.sender, x.released = s, true
	go s.run()
}

func (s *sender) run() {
	s.err = s.send()
	if s.bodyDone != nil {
		s.bodyDone()
	}
	s.end = time.Now()
	s.ended.Store(true)
	if s.nudge || s.err != nil {
		s.conn.SetReadDeadline(past)
	}
	close(s.done)
}

// send copies the body.
func (s *sender) send() error {
	buf := s.buffers.get(copySize)
	defer s.buffers.put(buf)
	space := *buf
	if s.left < 0 {
		space = space[h1.ChunkHead : copySize-h1.ChunkTail]
	}
	for s.left != 0 {
		data, err := s.read(space)
		if len(data) > 0 {
			if s.left > 0 {
				s.left -= int64(len(data))
				s.last.Store(s.left == 0)
			} else {
				data = h1.Chunk(*buf, len(data))
			}
			if err := s.write(data); err != nil {
				return err
			}
		}
		if s.left == 0 {
			return nil
		}
		if err == io.EOF {
			return s.finishBody(*buf)
		}
		if err != nil {
			s.client = true
			return err
		}
	}
	return nil
}

// read reads some of the body. io.EOF is its end.
func (s *sender) read(buf []byte) ([]byte, error) {
	if s.halted.Load() {
		return nil, errHalted
	}
	s.reading.Store(true)
	n, err := s.body.Read(buf)
	s.reading.Store(false)
	s.moved.Store(time.Now().UnixNano())
	if s.halted.Load() {
		return nil, errHalted
	}
	if s.left > 0 && int64(n) > s.left {
		return nil, fmt.Errorf("the body is longer than its %d bytes", s.length)
	}
	return buf[:n], err
}

// finishBody is called at the body's end.
func (s *sender) finishBody(space []byte) error {
	if s.left > 0 {
		s.client = true
		return fmt.Errorf("the body of %d bytes ended %d early: %w", s.length, s.left, io.ErrUnexpectedEOF)
	}
	var trailer http.Header
	if s.trailer != nil {
		trailer = s.trailer()
	}
	out, err := h1.AppendLastChunk(space[:0], trailer)
	if err != nil {
		s.client = true
		return err
	}
	s.last.Store(true)
	return s.write(out)
}

// write writes p, as long as there is progress.
func (s *sender) write(p []byte) error {
	for len(p) > 0 {
		s.renew()
		if s.cut.Load() || s.halted.Load() && !s.last.Load() {
			return errHalted
		}
		if err := endOf(s.ctx); err != nil {
			return err
		}
		n, err := s.conn.Write(p)
		p = p[n:]
		s.moved.Store(time.Now().UnixNano())
		if err != nil && !(n > 0 && late(err)) {
			return err
		}
		if err != nil {
			s.writeBy = time.Time{}
		}
	}
	return nil
}

// renew gives the backend time for the next piece, and up to a sixteenth more, which saves a deadline
// for each. Who ends the sender has said so before it moves the deadline.
func (s *sender) renew() {
	now := time.Unix(0, s.moved.Load())
	switch {
	case s.timeout <= 0 && !s.renewed:
		s.conn.SetWriteDeadline(time.Time{})
	case s.timeout > 0 && (s.writeBy.Sub(now) < s.timeout || s.last.Load()): // halt leaves the last write alone, but not its deadline
		s.writeBy = now.Add(s.timeout + s.timeout/16)
		s.conn.SetWriteDeadline(s.writeBy)
	}
	s.renewed = true
}

// due is when it will have stalled, if nothing moves.
func (s *sender) due(timeout time.Duration) time.Time {
	if timeout <= 0 {
		return time.Time{}
	}
	return time.Unix(0, s.moved.Load()).Add(timeout)
}

// stalled says that nothing has moved for too long, and whose fault it is.
func (s *sender) stalled(now time.Time, timeout time.Duration) error {
	due := s.due(timeout)
	if due.IsZero() || now.Before(due) {
		return nil
	}
	if s.reading.Load() {
		return &requestError{&lateError{fmt.Sprintf("no byte of the request's body came within %v", timeout)}}
	}
	return &lateError{fmt.Sprintf("no byte of the request's body was taken within %v", timeout)}
}

// fault returns the body's own error, once it has ended.
func (s *sender) fault() error {
	if s.ended.Load() && s.client && !errors.Is(s.err, errHalted) {
		return s.err
	}
	return nil
}

// halt has the sender stop soon, unless it is about to be done.
func (s *sender) halt() {
	if s.ended.Load() || s.last.Load() {
		return
	}
	if !s.halted.Swap(true) && s.unblock != nil {
		s.unblock()
	}
	s.conn.SetWriteDeadline(past)
}

// finish ends the sender, and reports whether it sent everything. After a clean answer the end of the
// last write is waited for, a little.
func (s *sender) finish(clean bool) bool {
	s.halt()
	if clean && s.last.Load() && !s.ended.Load() {
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-s.done:
		case <-timer.C:
		}
	}
	s.cut.Store(true)
	s.conn.SetWriteDeadline(past)
	if s.detached && !s.ended.Load() {
		return false
	}
	<-s.done
	return s.err == nil
}
