package redistest

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

const (
	doTime   = 5 * time.Second
	maxReply = 64 << 20
)

// Do asks Redis over a connection of its own and returns the reply: a string, an int64, nil, or a
// []any of these. What Redis refuses is an error, and so is no answer within five seconds. It may
// be called by any goroutine.
func (r *Redis) Do(args ...string) (any, error) {
	conn, err := r.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(doTime))
	in := bufio.NewReader(conn)
	if r.cfg.Password != "" {
		if _, err := exchange(conn, in, "AUTH", r.cfg.user(), r.cfg.Password); err != nil {
			return nil, err
		}
	}
	return exchange(conn, in, args...)
}

func (r *Redis) dial() (net.Conn, error) {
	d := &net.Dialer{Timeout: doTime}
	if r.cert != nil {
		return tls.DialWithDialer(d, "tcp", r.Address(), r.TLSConfig())
	}
	return d.Dial("tcp", r.Address())
}

func exchange(out io.Writer, in *bufio.Reader, args ...string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(out, b.String()); err != nil {
		return nil, err
	}
	return reply(in)
}

var errReply = errors.New("redistest: that is no reply of Redis")

func reply(in *bufio.Reader) (any, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return nil, errReply
	}
	switch kind, rest := line[0], line[1:]; kind {
	case '+':
		return rest, nil
	case '-':
		return nil, errors.New(rest)
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n > maxReply {
			return nil, errReply
		}
		if n < 0 {
			return nil, nil
		}
		if kind == '$' {
			return text(in, n)
		}
		return list(in, n)
	}
	return nil, errReply
}

func text(in *bufio.Reader, n int) (any, error) {
	b := make([]byte, n+2)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, err
	}
	return string(b[:n]), nil
}

// list reads n replies. A refusal among them is an element.
func list(in *bufio.Reader, n int) (any, error) {
	all := make([]any, 0, min(n, 1024))
	for range n {
		one, err := reply(in)
		if err == io.EOF || err == io.ErrUnexpectedEOF || err == errReply {
			return nil, err
		}
		if err != nil {
			one = err
		}
		all = append(all, one)
	}
	return all, nil
}
