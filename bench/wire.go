package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxHead bounds a message's head; a longer one is an error.
const maxHead = 16 << 10

// wire reads HTTP/1.1 messages off one connection with as little work as possible: it looks only
// at what says how long a message is. Both the clients and the backends use it.
type wire struct {
	from io.Reader
	buf  []byte
	r, w int // buf[r:w] has been received and not yet read
}

func newWire(from io.Reader, size int) *wire {
	return &wire{from: from, buf: make([]byte, max(size, maxHead))}
}

// fill receives more bytes, after moving what is unread to the front.
func (c *wire) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		return errors.New("head or line too long")
	}
	n, err := c.from.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// head returns the next message's first line and fields, with the empty line. They are valid
// until the next call. The error is io.EOF only when the connection ended between messages.
func (c *wire) head() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.Index(c.buf[c.r+seen:c.w], []byte("\r\n\r\n")); i >= 0 {
			head := c.buf[c.r : c.r+seen+i+4]
			c.r += len(head)
			return head, nil
		}
		seen = max(0, c.w-c.r-3)
		if err := c.fill(); err != nil {
			if err == io.EOF && c.w > c.r {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// field returns a field's value in a head, or nil. Case does not matter in its name.
func field(head []byte, name string) []byte {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\r\n"))
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
		head = rest
	}
	return nil
}

// status returns the code of a response's head, or zero.
func status(head []byte) int {
	if len(head) < 12 || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return 0
	}
	code, err := strconv.Atoi(string(head[9:12]))
	if err != nil {
		return 0
	}
	return code
}

var errNoLength = errors.New("message without a length")

// body reads the body that belongs to head, throws it away and returns its length. A head that
// announces none is an error if want says that there has to be one.
func (c *wire) body(head []byte, want bool) (int64, error) {
	if value := field(head, "Content-Length"); value != nil {
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("Content-Length %q", value)
		}
		return n, c.discard(n)
	}
	if value := field(head, "Transfer-Encoding"); value != nil {
		if !bytes.EqualFold(value, []byte("chunked")) {
			return 0, fmt.Errorf("Transfer-Encoding %q", value)
		}
		return c.chunks()
	}
	if want {
		return 0, errNoLength
	}
	return 0, nil
}

// discard reads n bytes. The buffer is used whole, so that long bodies need few calls.
func (c *wire) discard(n int64) error {
	for n > 0 {
		if c.r == c.w {
			c.r, c.w = 0, 0
			if err := c.fill(); err != nil {
				return broken(err)
			}
		}
		got := min(n, int64(c.w-c.r))
		c.r += int(got)
		n -= got
	}
	return nil
}

// chunks reads a chunked body and its trailers and returns the length of its data.
func (c *wire) chunks() (total int64, err error) {
	for {
		line, err := c.line()
		if err != nil {
			return total, err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseInt(string(bytes.TrimSpace(size)), 16, 63)
		if err != nil || n < 0 {
			return total, fmt.Errorf("chunk size %q", line)
		}
		if n == 0 {
			break
		}
		total += n
		if err := c.discard(n); err != nil {
			return total, err
		}
		if line, err := c.line(); err != nil || len(line) > 0 {
			return total, errors.Join(err, errors.New("chunk longer than its size"))
		}
	}
	for {
		line, err := c.line()
		if err != nil || len(line) == 0 {
			return total, err
		}
	}
}

// line reads one line and returns it without its end, valid until the next call.
func (c *wire) line() ([]byte, error) {
	for {
		if i := bytes.Index(c.buf[c.r:c.w], []byte("\r\n")); i >= 0 {
			line := c.buf[c.r : c.r+i]
			c.r += i + 2
			return line, nil
		}
		if err := c.fill(); err != nil {
			return nil, broken(err)
		}
	}
}

// broken is what the end of a connection means inside a message.
func broken(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
