package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// client makes one exchange after another. It is used by one goroutine at a time. After an error
// the next exchange starts on a new connection.
type client interface {
	// exchange sends one request, waits for the whole answer and checks it.
	exchange() error
	close()
}

// connection is what the hand-made clients have in common: a raw connection that is made when it
// is needed and closed, in the midst of whatever it does, when ctx ends.
type connection struct {
	ctx    context.Context
	addr   string
	secure bool
	buffer int
	conn   net.Conn // nil: none
	in     *wire
	forget func() bool
}

// connect makes the connection and reports whether it is a new one.
func (c *connection) connect() (fresh bool, err error) {
	if c.conn != nil {
		return false, nil
	}
	dial := dialTLS
	if !c.secure {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
		}
	}
	conn, err := dial(c.ctx, c.addr)
	if err != nil {
		return false, err
	}
	c.conn, c.in = conn, newWire(conn, c.buffer)
	c.forget = context.AfterFunc(c.ctx, func() { conn.Close() })
	return true, nil
}

func (c *connection) close() {
	if c.conn != nil {
		c.forget()
		c.conn.Close()
		c.conn = nil
	}
}

// httpClient speaks HTTP/1.1 with prepared bytes. It keeps the cookie that its first answer set,
// as a browser would.
type httpClient struct {
	connection
	ask     scenario
	request []byte
	cookie  []byte
}

func (c *httpClient) exchange() error {
	if _, err := c.connect(); err != nil {
		return err
	}
	if c.request == nil {
		c.request = c.ask.request(c.cookie)
	}
	if err := c.once(); err != nil {
		c.close()
		return err
	}
	return nil
}

func (c *httpClient) once() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	head, err := c.in.head()
	if err != nil {
		return broken(err)
	}
	if code := status(head); code != http.StatusOK {
		return fmt.Errorf("status %d", code)
	}
	if set := field(head, "Set-Cookie"); set != nil {
		set, _, _ = bytes.Cut(set, []byte(";"))
		c.cookie, c.request = bytes.Clone(set), nil
	}
	last := bytes.EqualFold(field(head, "Connection"), []byte("close"))
	n, err := c.in.body(head, true)
	if err != nil {
		return err
	}
	if n != c.ask.answer {
		return fmt.Errorf("%d bytes instead of %d", n, c.ask.answer)
	}
	if last {
		c.close()
	}
	return nil
}

// socketClient has one WebSocket, and each exchange is a message and its echo.
type socketClient struct {
	connection
	message, frame []byte
}

func (c *socketClient) exchange() error {
	fresh, err := c.connect()
	if fresh {
		err = c.upgrade()
	}
	if err == nil {
		err = c.once()
	}
	if err != nil {
		c.close()
	}
	return err
}

const socketKey = "dGhlIHNhbXBsZSBub25jZQ==" // RFC 6455's example

func (c *socketClient) upgrade() error {
	_, err := fmt.Fprintf(c.conn, "GET / HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", socketKey)
	if err != nil {
		return err
	}
	head, err := c.in.head()
	if err != nil {
		return broken(err)
	}
	if code := status(head); code != http.StatusSwitchingProtocols || string(field(head, "Sec-WebSocket-Accept")) != accept(socketKey) {
		return fmt.Errorf("no WebSocket: status %d", code)
	}
	return nil
}

func (c *socketClient) once() error {
	if _, err := c.conn.Write(c.frame); err != nil {
		return err
	}
	got, err := c.in.frame(false)
	if err == nil && !bytes.Equal(got, c.message) {
		err = fmt.Errorf("%d bytes that are no echo", len(got))
	}
	return err
}

// streamClient speaks HTTP/2 without TLS, by net/http. Several share a connection.
type streamClient struct {
	request *http.Request
	over    *http.Transport
	answer  int64
}

func (c *streamClient) exchange() error {
	resp, err := c.over.RoundTrip(c.request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2:
		return fmt.Errorf("status %d by %s", resp.StatusCode, resp.Proto)
	case n != c.answer:
		return fmt.Errorf("%d bytes instead of %d", n, c.answer)
	}
	return nil
}

func (c *streamClient) close() { c.over.CloseIdleConnections() }
