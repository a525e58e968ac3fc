//go:build unix

package transport

import (
	"io"
	"os"
	"syscall"
)

// bind gives c the way around Conn's Read and Write.
func (c *conn) bind() {
	if sc, ok := c.Conn.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
		c.step = c.ready
	}
}

// ready is called by RawConn.Read, which waits until the connection is readable and calls again
// when it returns false. RawConn resets the readiness before the call: what arrives after the write
// wakes the wait, and what arrived before it is seen by quiet.
func (c *conn) ready(fd uintptr) bool {
	if c.op == opSend || c.op == opCheck {
		if c.stale = !c.quiet(int(fd)); c.stale || c.op == opCheck {
			return true
		}
		if !c.send(int(fd)) {
			return true
		}
		c.op = opRead
		return false // the answer cannot be there before the request
	}
	return c.receive(int(fd))
}

// quiet reports whether the connection is open and has nothing to read, and notes whether it has ended.
func (c *conn) quiet(fd int) bool {
	for {
		n, err := syscall.Read(fd, c.one[:])
		if err != syscall.EINTR {
			c.ended = err != syscall.EAGAIN && n <= 0
			return err == syscall.EAGAIN
		}
	}
}

// send writes out once, and reports whether that was all of it.
func (c *conn) send(fd int) bool {
	for {
		n, err := syscall.Write(fd, c.out)
		switch err {
		case nil:
			c.sent = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
		default:
			c.err = os.NewSyscallError("write", err)
		}
		return c.sent == len(c.out)
	}
}

// receive reads once, and reports whether there is no need to wait.
func (c *conn) receive(fd int) bool {
	for {
		n, err := syscall.Read(fd, (*c.lent)[c.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN && c.op == opTry:
			c.err = errWouldBlock
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			c.err = os.NewSyscallError("read", err)
		case n == 0:
			c.err = io.EOF
		default:
			c.n = n
		}
		return true
	}
}
