package transport

import (
	"context"
	"fmt"
	"time"
)

// hear reads some of a head.
func (x *Exchange) hear() error {
	c := x.c
	if c.w == len(*c.lent) {
		c.room(max(2*(c.w-c.r), headSize))
	}
	for { // until something comes or a bound passes
		if err := x.arm(time.Now()); err != nil {
			return err
		}
		err := c.fill(false)
		if err == nil {
			x.heard = true
			return nil
		}
		if !late(err) {
			return err
		}
		if err := x.overdue(); err != nil {
			return err
		}
	}
}

// arm sets the deadline of the next read of a head. What ends a request also sets deadlines, after
// the fact: arm looks for it after it has set its own.
func (x *Exchange) arm(now time.Time) error {
	for range 3 {
		ended := x.sender != nil && x.sender.ended.Load()
		if due := x.headDue(now, ended); x.stop == nil && x.sender == nil {
			x.c.lookBy(due, now)
		} else {
			x.c.stopBy(due)
		}
		if x.stop != nil || x.sender != nil {
			if err := endOf(x.ctx); err != nil {
				return err
			}
		}
		if x.sender == nil || x.sender.ended.Load() == ended {
			return x.sendFault(ended)
		}
	}
	return nil
}

// sendFault is why there is no sense in waiting: the body failed, or could not be sent in time. A
// connection that was closed may still hold an answer.
func (x *Exchange) sendFault(ended bool) error {
	if s := x.sender; ended && s.err != nil && (s.client || late(s.err)) {
		return s.err
	}
	return nil
}

// headDue is when to stop waiting for a head and look again.
func (x *Exchange) headDue(now time.Time, ended bool) time.Time {
	due := x.headBy
	switch s := x.sender; {
	case s == nil:
	case ended:
		if d := x.t.cfg.HeaderTimeout; d > 0 {
			x.headBy = s.end.Add(d)
			due = x.headBy
		}
	default:
		due = s.due(x.t.cfg.BodyTimeout)
	}
	due = earlier(due, x.continueBy)
	if x.stop == nil { // whether ctx can end at all is not asked for: the answer is made when it is, and costs
		due = earlier(due, now.Add(lazily))
		if by, ok := x.ctx.Deadline(); ok {
			due = earlier(due, by)
		}
	}
	return due
}

// earlier returns the earlier of two times of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// overdue finds out which bound passed. Nil means that none did: from now on the end of the context is
// noticed at once.
func (x *Exchange) overdue() error {
	x.c.readBy = time.Time{}
	now := time.Now()
	if err := endOf(x.ctx); err != nil {
		return err
	}
	if by, ok := x.ctx.Deadline(); ok && !now.Before(by) {
		return context.DeadlineExceeded
	}
	if !x.continueBy.IsZero() && !now.Before(x.continueBy) {
		x.sendBody()
		return nil
	}
	if !x.headBy.IsZero() && !now.Before(x.headBy) {
		return &lateError{fmt.Sprintf("no response header within %v", x.t.cfg.HeaderTimeout)}
	}
	if s := x.sender; s != nil && !s.ended.Load() {
		if err := s.stalled(now, x.t.cfg.BodyTimeout); err != nil {
			return err
		}
	}
	x.watch()
	return nil
}

// watch has the end of the context end what waits for the connection.
func (x *Exchange) watch() {
	switch {
	case x.stop != nil:
	case x.ctx.Done() == nil:
		x.stop = endless
	default:
		nc := x.c.Conn
		x.stop = context.AfterFunc(x.ctx, func() { nc.SetDeadline(past) })
	}
}

// endless is the stop of a context that does not end.
func endless() bool { return true }

// unwatch undoes watch, and reports whether nothing was done to the connection.
func (x *Exchange) unwatch() bool {
	if x.stop == nil {
		return true
	}
	stopped := x.stop()
	x.stop = nil
	return stopped
}
