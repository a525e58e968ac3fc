package transport

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/go-loadbalancer/lb/internal/h1"
)

var (
	errStale      = errors.New("the connection was closed by the backend while it was idle, or had bytes nobody asked for")
	errShort      = errors.New("not all was written at once")
	errWouldBlock = errors.New("a read would block")
)

// conn is one connection to a backend. Only the request that has it touches it; who cancels sets
// deadlines, and the sender of a long body writes.
type conn struct {
	net.Conn
	tcp  *net.TCPConn          // nil on other networks
	raw  syscall.RawConn       // nil: only Conn's own methods
	step func(fd uintptr) bool // c.ready, bound once
	pool *pool

	client    netip.AddrPort
	born      time.Time
	asked     time.Time // when its last request was about to be sent, or it was made
	idleSince time.Time
	keepAlive time.Duration // the backend's Keep-Alive: timeout
	served    int
	reused    bool
	readBy    time.Time // the read deadline, as the one who has c set it last; others may have moved it to the past

	req     h1.Request // while a head is written
	head    h1.Head
	cache   h1.Cache
	chunked h1.Chunked
	out     []byte  // the head, and a small body
	lent    *[]byte // the read buffer, nil while idle
	r, w    int     // what of it is unread

	op    op // what step does
	stale bool
	ended bool // the backend has closed, and all that it sent was read
	sent  int  // of out
	n     int  // read by step
	err   error
	one   [1]byte
}

// op is what conn.ready does.
type op uint8

const (
	opSend  op = iota // look for unasked bytes, write out, and then opRead
	opCheck           // look for unasked bytes
	opRead            // read, and wait for something to read
	opTry             // read what is there
)

func newConn(nc net.Conn, p *pool, client netip.AddrPort) *conn {
	c := &conn{Conn: nc, pool: p, client: client, born: time.Now()}
	c.asked = c.born
	c.tcp, _ = nc.(*net.TCPConn)
	c.bind()
	return c
}

// worn reports whether no further request may go over c.
func (c *conn) worn(now time.Time, cfg *Config) bool {
	return cfg.MaxAge > 0 && now.Sub(c.born) > cfg.MaxAge || cfg.MaxRequests > 0 && c.served >= cfg.MaxRequests
}

// begin readies c for a request.
func (c *conn) begin() {
	if c.lent == nil {
		c.lent = c.pool.t.buffers.get(headSize)
	}
	c.served++
	c.r, c.w, c.sent = 0, 0, 0
}

// shut closes c for good. Its place stays taken.
func (c *conn) shut() {
	c.Conn.Close()
	c.unlend()
}

// unlend gives c's buffers back. A large out goes, too.
func (c *conn) unlend() {
	if c.lent != nil {
		c.pool.t.buffers.put(c.lent)
		c.lent = nil
	}
	if cap(c.out) > headSize {
		c.out = nil
	}
}

// unread is what was read and not yet used.
func (c *conn) unread() []byte { return (*c.lent)[c.r:c.w] }

// room makes the read buffer at least size bytes long, with what is unread at its beginning.
func (c *conn) room(size int) {
	if len(*c.lent) >= size {
		if c.r > 0 {
			c.w = copy(*c.lent, c.unread())
			c.r = 0
		}
		return
	}
	next := c.pool.t.buffers.get(size)
	c.w = copy(*next, c.unread())
	c.r = 0
	c.pool.t.buffers.put(c.lent)
	c.lent = next
}

// exchange looks whether c is alive, writes out and waits for the first bytes of an answer, in one
// step where it can: no read fails on the way. errStale: nothing was sent. errShort: writeRest and
// fill must follow. c.sent says how much was.
func (c *conn) exchange() error {
	if c.raw == nil {
		return errShort
	}
	c.op, c.stale, c.n, c.err = opSend, false, 0, nil
	if err := c.raw.Read(c.step); err != nil {
		return err
	}
	switch {
	case c.stale:
		return errStale
	case c.op == opSend && c.err != nil:
		return c.err
	case c.op == opSend:
		return errShort
	}
	c.w += c.n
	return c.err
}

// check looks whether c is alive: errStale if not.
func (c *conn) check() error {
	if c.raw == nil {
		return nil
	}
	c.op, c.stale = opCheck, false
	if err := c.raw.Read(c.step); err != nil {
		return err
	}
	if c.stale {
		return errStale
	}
	return nil
}

// lookBy has reads end at due, or up to three quarters of lazily before that, when a deadline
// of the last request says so already: whoever is woken looks, and waits on.
func (c *conn) lookBy(due, now time.Time) {
	if c.readBy.Sub(now) > lazily/4 && !c.readBy.After(due) {
		return
	}
	c.stopBy(due)
}

// progressBy has reads end after a time of d, and up to a sixteenth of it later, which saves a
// deadline for each piece of a body.
func (c *conn) progressBy(now time.Time, d time.Duration) {
	if left := c.readBy.Sub(now); left < d || left > d+d/16 {
		c.stopBy(now.Add(d + d/16))
	}
}

// stopBy has reads end at due; never if that is zero.
func (c *conn) stopBy(due time.Time) {
	c.readBy = due
	c.SetReadDeadline(due)
}

// hasEnded reports whether the backend has closed or reset c, and nothing is left to read. c is of
// no further use.
func (c *conn) hasEnded() bool {
	c.stopBy(time.Time{})
	return c.check() == errStale && c.ended
}

// writeRest writes what of out was not sent.
func (c *conn) writeRest() error {
	n, err := c.Conn.Write(c.out[c.sent:])
	c.sent += n
	return err
}

// fill reads once into the buffer, which must have room. With try it returns errWouldBlock
// instead of waiting.
func (c *conn) fill(try bool) error {
	if c.raw == nil {
		if try {
			return errWouldBlock
		}
		n, err := c.Conn.Read((*c.lent)[c.w:])
		c.w += n
		if n > 0 {
			return nil
		}
		return err
	}
	c.op, c.n, c.err = opRead, 0, nil
	if try {
		c.op = opTry
	}
	if err := c.raw.Read(c.step); err != nil {
		return err
	}
	c.w += c.n
	return c.err
}

// dead reports whether err is what a connection says that the backend closed or reset.
func dead(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED)
}

// late reports whether err is a deadline that passed.
func late(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
