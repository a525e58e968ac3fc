package transport

import (
	"io"
	"time"
)

const (
	// spliceMin is the shortest rest of a body that is worth a splice. Below it the bytes are in the
	// processor's cache still when they are written, and copies are as cheap: docs/performance.md.
	spliceMin = 4 << 20
	// splicePiece is how much goes first, and spliceMax at most; deadlines are renewed in between. The
	// next piece is longer while each takes less than quickly: the writer's deadline is for a piece,
	// and a slow one must not have to take much within it.
	splicePiece = 64 << 10
	spliceMax   = 1 << 20
	quickly     = 100 * time.Millisecond
	// maxSplices bounds the splices at a time: each holds a pipe of up to 1 MiB outside of Go's memory, and a
	// process without privileges has 64 MiB of them.
	maxSplices = 32
)

// CopyTo writes the whole body to w. Long bodies of known length go through w's ReadFrom straight
// from the connection when direct says that w is one to which the kernel can move them: net/http's own
// writer of an HTTP/1.1 response over plain TCP. flush, unless it is nil, is called when something was
// written, the response's head included, and the next read has to wait, and before ReadFrom. An error of w or flush is returned as it
// is; one of the body is an *Error.
func (x *Exchange) CopyTo(w io.Writer, flush func() error, direct bool) (int64, error) {
	cp := copying{x: x, w: w, flush: flush, dirty: true}
	if len(x.piece) > 0 {
		if err := cp.write(x.piece); err != nil {
			return cp.n, err
		}
		x.piece = nil
	}
	rf, can := w.(io.ReaderFrom)
	direct = direct && can && x.kind == bodyLength && x.c != nil && x.c.tcp != nil
	for {
		if direct && x.left >= spliceMin && x.c.r == x.c.w && x.fault == nil {
			done, err := cp.splice(rf)
			if done || err != nil {
				return cp.n, err
			}
			direct = false
		}
		x.enlarge(cp.n)
		piece, err := x.next(cp.idle())
		if err == io.EOF {
			return cp.n, nil
		}
		if err != nil {
			return cp.n, err
		}
		if err := cp.write(piece); err != nil {
			return cp.n, err
		}
	}
}

// copying is one CopyTo.
type copying struct {
	x     *Exchange
	w     io.Writer
	flush func() error
	n     int64
	dirty bool // something was written since the last flush
}

func (cp *copying) write(p []byte) error {
	n, err := cp.w.Write(p)
	cp.n += int64(n)
	cp.dirty = true
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		cp.x.fault = err
	}
	return err
}

// idle is what to do before a wait.
func (cp *copying) idle() func() error {
	if cp.flush == nil || !cp.dirty {
		return nil
	}
	return cp.flushNow
}

func (cp *copying) flushNow() error {
	if cp.flush == nil {
		return nil
	}
	cp.dirty = false
	return cp.flush()
}

// enlarge takes a larger buffer for a body of which n bytes did not end it.
func (x *Exchange) enlarge(n int64) {
	if x.c == nil || x.over || x.fault != nil || x.c.r < x.c.w || x.kind == bodyTunnel {
		return
	}
	if len(*x.c.lent) < copySize && (n > 0 || x.kind == bodyLength && x.left > headSize) {
		x.c.room(copySize)
	}
}

// splice has the rest of the body moved by the kernel. It is not done when too many are.
func (cp *copying) splice(rf io.ReaderFrom) (done bool, err error) {
	x := cp.x
	if x.t.splices.Add(1) > maxSplices {
		x.t.splices.Add(-1)
		return false, nil
	}
	defer x.t.splices.Add(-1)
	if err := cp.flushNow(); err != nil {
		x.fault = err
		return false, err
	}
	began := time.Now()
	for piece := int64(splicePiece); x.left > 0; {
		if err := x.armBody(); err != nil {
			return false, x.breakOff(err)
		}
		x.limited = io.LimitedReader{R: x.c.tcp, N: min(x.left, piece)}
		n, err := rf.ReadFrom(&x.limited)
		now := time.Now()
		if piece = max(piece/2, splicePiece); now.Sub(began) < quickly {
			piece = min(4*piece, spliceMax)
		}
		began = now
		cp.n += n
		x.took(int(n))
		switch {
		case err == nil && (n > 0 || x.over):
		case err == nil:
			return false, x.breakOff(io.EOF)
		default:
			if err := x.spliceFault(err, n); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// spliceFault finds out which end of a splice failed after n bytes. Nil means that it may go on.
func (x *Exchange) spliceFault(err error, n int64) error {
	if !late(err) {
		if x.c.hasEnded() {
			return x.breakOff(err)
		}
		x.fault = err
		return err
	}
	why := x.bodyFault(err)
	switch {
	case why == nil && (x.bodyBy.IsZero() || time.Now().Before(x.bodyBy)) && x.sender == nil:
		x.fault = err // it was the writer's deadline
		return err
	case why == nil, n > 0 && isLate(why):
		return nil
	}
	return x.breakOff(why)
}

// isLate reports whether err is a bound of ours.
func isLate(err error) bool { _, ok := err.(*lateError); return ok }
