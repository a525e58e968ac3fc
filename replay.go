package lb

import (
	"errors"
	"io"
	"sync/atomic"
)

// pass is an upload as one try reads it: first what was kept of the tries before, then the rest.
// It ends when the next begins; a Read of it that is still under way then reads for both.
type pass struct {
	u   *upload
	pos int64 // in the whole body
}

// newPass begins one, and ends the one before.
func (u *upload) newPass() *pass {
	p := &pass{u: u}
	u.passed.Store(true)
	u.pass.Store(p)
	return p
}

func (p *pass) Read(b []byte) (int, error) {
	u := p.u
	u.reading.Lock()
	defer u.reading.Unlock()
	switch {
	case u.pass.Load() != p:
		return 0, errStopped
	case p.pos < int64(len(u.kept)):
		n := copy(b, u.kept[p.pos:])
		p.pos += int64(n)
		return n, nil
	case p.pos != u.got:
		return 0, errNotKept
	case u.whole.Load():
		return 0, io.EOF
	}
	n, err := u.Read(b)
	u.got += int64(n)
	p.pos = u.got
	if u.keep(b[:n]); u.released.Load() && u.total != nil {
		u.forget()
	}
	return n, err
}

// Close does nothing: the upload outlives a failed try.
func (p *pass) Close() error { return nil }

var errNotKept = errors.New("lb: the request's body was too long to be sent again")

// remember has the upload keep what is read of it, up to most bytes, as long as no more than all
// are kept for all uploads together.
func (u *upload) remember(most int, all int64, total *atomic.Int64) {
	u.all, u.total = all, total
	u.most.Store(int64(most))
}

// keep keeps b, or gives up and keeps nothing. It is called by whoever reads.
func (u *upload) keep(b []byte) {
	most, n := u.most.Load(), int64(len(b))
	switch {
	case most == 0:
		return
	case u.got > most:
	case u.total.Add(n) > u.all:
		u.total.Add(-n)
	default:
		u.kept = append(u.kept, b...)
		return
	}
	u.forget()
}

// forget gives up what was kept.
func (u *upload) forget() {
	u.most.Store(0)
	u.total.Add(-int64(len(u.kept)))
	u.kept = nil
}

// release ends all passes and gives up what was kept, when the request has ended. Below a server it
// waits for a Read that is under way, which it ends; a client in this program may end it later.
func (u *upload) release() {
	if !u.passed.Load() {
		return
	}
	u.pass.Store(nil)
	u.released.Store(true)
	if !u.reading.TryLock() {
		if u.control == nil {
			return
		}
		if !u.whole.Load() { // else it is about to return
			u.interrupt()
		}
		u.reading.Lock()
	}
	defer u.reading.Unlock()
	if u.total != nil {
		u.forget()
	}
}

// rewind has the next pass begin anew, and reports whether that can be done: nothing was read yet,
// or all that was read is kept. What is just being read may still prove too long: errNotKept.
func (u *upload) rewind() bool {
	if u == nil {
		return true
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.interrupted || u.brokenOff() != nil || u.touched.Load() && u.most.Load() == 0 {
		return false
	}
	u.pass.Store(nil)
	u.stopped = false
	return true
}

// Unblock is stop for package transport, when it gives up what net/http sends.
func (p *pass) Unblock() { p.u.stop() }
